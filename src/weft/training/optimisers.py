"""AdamW and Muon behind one face, with every piece of their state named after its parameter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Embedding, EmbeddingBag, LayerNorm, Module, Parameter, RMSNorm
from torch.nn.parameter import is_lazy

from weft.training.muon import Muon
from weft.training.settings import TrainSettings
from weft.training.sharded import share

NORMS = (LayerNorm, RMSNorm)  # the ones whose gain may be a matrix; those of all others are vectors anyway
TABLES = (Embedding, EmbeddingBag)
UNTOUCHED = "untouched"  # instead of state: a parameter that is trained, and has had no gradient yet


@dataclass(frozen=True)
class Groups:
    """Every trainable parameter of a module, by name, in exactly one of three groups."""

    matrices: dict[str, Parameter]  # inside the network, convolutions too: decay, and Muon where asked for
    tables: dict[str, Parameter]  # embeddings and heads, one row per token: decay, always AdamW
    vectors: dict[str, Parameter]  # norms, biases, gains: no decay, always AdamW

    def check(self, module: Module) -> None:
        """Raise ValueError naming a trainable parameter that is in no group or in two."""
        grouped = [parameter for group in (self.matrices, self.tables, self.vectors) for parameter in group.values()]
        times: dict[int, int] = {}
        for parameter in grouped:
            times[id(parameter)] = times.get(id(parameter), 0) + 1
        for name, parameter in trainable(module).items():
            if times.get(id(parameter), 0) != 1:
                where = "in no group" if id(parameter) not in times else "in two optimiser groups"
                raise ValueError(
                    f"parameter {name} is {where}; each must be in exactly one, or it would be trained never or twice: "
                    "build the groups with groups(module) after the last change to the module"
                )


def trainable(module: Module) -> dict[str, Parameter]:
    """The parameters that take a gradient, by name; one that is shared (a tied head) appears once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def count_parameters(parameters: Iterable[Parameter]) -> int:
    """How many numbers they hold."""
    return sum(parameter.numel() for parameter in parameters)


def groups(module: Module) -> Groups:
    """Sort the trainable parameters of any module. ValueError for one that cannot be trained here (`check_kinds`).

    A vector is a parameter with fewer than two dimensions larger than 1 (so [1, 1, D] is one), one that is called a
    bias, or one of a norm. A table is any other that belongs to a torch.nn.Embedding or EmbeddingBag, or to a module
    whose class says `table = True`; when it is shared, one such owner is enough. The rest are matrices: convolutions
    too, and positions [1, T, D] that are a parameter of their own.
    """
    check_kinds(module)
    owners: dict[int, list[Module]] = {}
    for owner in module.modules():
        for parameter in owner.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(owner)
    sorted_groups = Groups({}, {}, {})
    for name, parameter in trainable(module).items():
        mine = owners[id(parameter)]
        if (
            sum(side > 1 for side in parameter.shape) < 2
            or "bias" in name.rpartition(".")[2]
            or any(isinstance(owner, NORMS) for owner in mine)
        ):
            sorted_groups.vectors[name] = parameter
        elif any(isinstance(owner, TABLES) or getattr(owner, "table", False) is True for owner in mine):
            sorted_groups.tables[name] = parameter
        else:
            sorted_groups.matrices[name] = parameter
    sorted_groups.check(module)
    return sorted_groups


def check_kinds(module: Module) -> None:
    """ValueError naming a trainable parameter that no optimiser here updates: without a shape yet, complex, or with
    gradients that are sparse."""
    for name, parameter in trainable(module).items():
        if is_lazy(parameter):
            raise ValueError(f"parameter {name} has no shape yet: pass a batch through the module, then train it")
        if parameter.is_complex():
            raise ValueError(
                f"parameter {name} is {parameter.dtype}, and only real ones are trained: hold its real and imaginary "
                "parts, and join them with torch.view_as_complex"
            )
    for name, part in module.named_modules():
        if isinstance(part, TABLES) and part.sparse and part.weight.requires_grad:
            raise ValueError(
                f"{name or 'the module'} is made with sparse=True, which no optimiser here reads: leave it out"
            )


class Optimiser:
    """What the loop steps: one or two torch optimisers that share nothing but the schedule.

    State is read and written as flat tensors named "<parameter>/<part>", such as "layers.0.attn.q.weight/exp_avg", so
    that a checkpoint of it is a safetensors file and does not depend on the order of the parameters.
    """

    def __init__(self, parts: Iterable[torch.optim.Optimizer], names: dict[str, Parameter]):
        self.parts = list(parts)
        self.names = names
        self.peaks = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Drop all state, as before the first step."""
        for part in self.parts:
            part.state.clear()

    def set_rate(self, factor: float) -> None:
        """Set every group's learning rate to `factor` of its peak."""
        for part, peaks in zip(self.parts, self.peaks, strict=True):
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * factor

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name. The tensors are the optimiser's own, not copies.

        Every trainable parameter is named: one that has had no gradient yet by a 0, "<parameter>/untouched".
        """
        flat = {}
        for name, parameter in self.names.items():
            state = {key: value for part in self.parts for key, value in part.state.get(parameter, {}).items()}
            for key, value in (state or {UNTOUCHED: torch.zeros(())}).items():
                flat[f"{name}/{key}"] = value
        return flat

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave. ValueError names whatever is not this optimiser's, and a parameter of its own
        that is not there; nothing is put back then."""
        keys: dict[str, list[str]] = {}
        for flat in tensors:
            name, _, key = flat.rpartition("/")
            keys.setdefault(name, []).append(key)
        if missing := [name for name in self.names if name not in keys]:
            raise ValueError(
                f"optimiser state lacks {', '.join(missing)}: trainable now, and not when the checkpoint was written; "
                "freeze what was frozen then, or begin another run from its weights"
            )
        homes = {id(p): part for part in self.parts for group in part.param_groups for p in group["params"]}
        for name, mine in keys.items():
            if name not in self.names:
                raise ValueError(f"optimiser state {name!r} belongs to no trainable parameter of this model")
            if mine == [UNTOUCHED]:
                continue
            state = {key: tensors[f"{name}/{key}"] for key in mine}  # whole, so of one parameter at a time
            _check_state(name, state, self.names[name], STATE[type(homes[id(self.names[name])])])
        for name, mine in keys.items():
            if mine == [UNTOUCHED]:
                continue
            parameter = self.names[name]
            state = {key: tensors[f"{name}/{key}"] for key in mine}
            homes[id(parameter)].state[parameter] = {
                key: (value if key == "step" else share(value, parameter)).detach().clone().to(parameter.device)
                for key, value in state.items()
            }


# what each optimiser keeps for a parameter; only AdamW's "step" has a shape of its own, ()
STATE: dict[type, tuple[str, ...]] = {torch.optim.AdamW: ("exp_avg", "exp_avg_sq", "step"), Muon: ("momentum",)}


def _check_state(name: str, state: dict[str, Tensor], parameter: Parameter, expected: tuple[str, ...]) -> None:
    if sorted(state) != sorted(expected):
        raise ValueError(
            f"optimiser state of {name} holds {', '.join(sorted(state))} where {', '.join(expected)} is expected; "
            "the checkpoint was written with another optimiser setting: resume with the same one"
        )
    for key, value in state.items():
        shape = () if key == "step" else tuple(parameter.shape)
        if tuple(value.shape) != shape:
            raise ValueError(f"optimiser state {name}/{key} has shape {tuple(value.shape)}, expected {shape}")


def build_optimiser(module: Module, settings: TrainSettings, *, dtype: torch.dtype = torch.float32) -> Optimiser:
    """The optimiser `settings` names. `dtype` is what Muon's Newton-Schulz products run in.

    AdamW: Loshchilov & Hutter 2019. With "muon" only the hidden matrices are Muon's; tables and vectors stay AdamW's.
    """
    sorted_groups = groups(module)
    names = trainable(module)
    if not names:
        raise ValueError("the model has no trainable parameter: every one has requires_grad=False; unfreeze some")
    muon = settings.optimiser == "muon"
    decaying = sorted_groups.tables | ({} if muon else sorted_groups.matrices)
    adam_groups = [
        {"params": list(decaying.values()), "weight_decay": settings.weight_decay},
        {"params": list(sorted_groups.vectors.values()), "weight_decay": 0.0},
    ]
    parts: list[torch.optim.Optimizer] = []
    if any(group["params"] for group in adam_groups):
        betas = (settings.beta1, settings.beta2)
        parts.append(
            torch.optim.AdamW([g for g in adam_groups if g["params"]], lr=settings.rate, betas=betas, fused=True)
        )
    if muon and sorted_groups.matrices:
        rate = settings.muon_rate or settings.rate
        matrices = sorted_groups.matrices.values()
        parts.append(Muon(matrices, rate=rate, weight_decay=settings.weight_decay, dtype=dtype))
    return Optimiser(parts, names)
