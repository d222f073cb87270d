"""A model beside the same folder in the library it was published with, layer by layer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from weft.hub.error import LoadError
from weft.hub.model import Model
from weft.hub.probe import Probe
from weft.models import FAMILIES
from weft.models.published import Published
from weft.nn import EncoderDecoder, Stack

LIBRARIES = ("transformers",)


@dataclass(frozen=True)
class Row:
    """One place: our name, theirs, and max |ours - theirs| in standard deviations of theirs, padding left out."""

    place: str
    theirs: str
    difference: float


@dataclass(frozen=True)
class Comparison:
    """library, version, kind: with what it was compared, and as which class. rows: in the order of computation."""

    library: str
    version: str
    kind: str
    tolerance: float
    rows: tuple[Row, ...]

    @property
    def worst(self) -> Row:
        return max(self.rows, key=lambda row: _rank(row.difference))

    @property
    def first_off(self) -> Row | None:
        """The first place above the tolerance: what lies before it agrees."""
        return next((row for row in self.rows if not row.difference <= self.tolerance), None)


class Place(NamedTuple):
    """States [B, T, D] by name. of_source: their tokens are the source's."""

    name: str
    states: Tensor
    of_source: bool = False


class Seen:
    """What passes through a stack of layers: what each of them is given, and what the last one gives. (The first of
    theirs may not give what the second is given: a convolution beside it belongs to our layer.)"""

    def __init__(self) -> None:
        self.given: list[Tensor] = []
        self.last: list[Tensor] = []

    @property
    def states(self) -> list[Tensor]:
        return [*self.given, *self.last]

    @contextmanager
    def watching(self, layers: Sequence[nn.Module]) -> Iterator[None]:
        """As long as it lasts. The layers give a tensor, or a tuple that begins with one."""
        with ExitStack() as hooks:
            for layer in set(layers):
                hooks.callback(layer.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                hooks.callback(layer.register_forward_hook(self._leave).remove)
            yield

    def _enter(self, layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.given.append(arguments[0] if arguments else named["hidden_states"])

    def _leave(self, layer: nn.Module, arguments: Any, output: Any) -> None:
        self.last = [output[0] if isinstance(output, tuple | list) else output]


def compare(model: Model, folder: Path, probe: Probe, library: str, tolerance: float) -> Comparison:
    """Run the probe in `model` and in the library's own model of `folder`, in fp32 on the CPU.

    ValueError where the library is not known or not installed; LoadError where it has no class for the folder, or one
    whose layers are not ours.
    """
    if library not in LIBRARIES:
        raise ValueError(f"--against {library}: there is {', '.join(LIBRARIES)}")
    try:
        reference = importlib.import_module(library)
    except ImportError as error:
        raise ValueError(
            f"{library} is not installed here, so there is nothing to compare with: pip install {library}"
        ) from error
    published, kind = _class_of(model, folder)
    theirs = _load(reference, kind, folder, published.kernel)
    theirs_seen = _run_theirs(theirs, probe, _depths(model.module), folder)
    scored = theirs_seen[-1].name.endswith("logits")  # a class without a head has none to compare
    ours_seen = _run_ours(model, probe, published.classes[kind] if scored else ())
    rows = [
        Row(mine.name, other.name, _off(mine.states, other.states, probe.kept(other.states, of_source=mine.of_source)))
        for mine, other in zip(ours_seen, theirs_seen, strict=True)
    ]
    return Comparison(library, reference.__version__, kind, tolerance, tuple(rows))


def _class_of(model: Model, folder: Path) -> tuple[Published, str]:
    """How a folder is published, and the class it is of."""
    published = FAMILIES.get(model.blueprint.family).published
    if published is None or not model.origin.config:
        raise LoadError(f"{folder} is in weft's own layout, which no other library reads: there is nothing to compare")
    kind = (model.origin.config.get("architectures") or [next(iter(published.classes))])[0]
    return published, kind


def _load(reference: Any, kind: str, folder: Path, kernel: str) -> nn.Module:
    """Their model. Its class is named, not looked up: code in the folder is never run."""
    before = reference.logging.get_verbosity()
    reference.logging.set_verbosity_error()
    reference.logging.disable_progress_bar()
    try:
        built = getattr(reference, kind)
        made = built.from_pretrained(
            folder, local_files_only=True, attn_implementation=kernel, dtype=torch.float32, use_safetensors=True
        )
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        raise LoadError(f"{folder}: {reference.__name__} cannot load it as {kind}: {error}") from error
    finally:
        reference.logging.set_verbosity(before)
        reference.logging.enable_progress_bar()
    return made.eval()


def _stacks(module: nn.Module) -> dict[str, Stack]:
    """Those whose places see one another: what looks at a memory alone stands in no list of theirs."""
    parts = {name: part for name, part in module.named_modules() if isinstance(part, Stack)}
    fields = {name: [field.keys for field in part.fields.values()] for name, part in parts.items()}  # type: ignore[union-attr]
    return {name: part for name, part in parts.items() if "self" in fields[name]}


def _depths(module: nn.Module) -> list[int]:
    return [len(stack.order) for stack in _stacks(module).values()]


def _run_ours(model: Model, probe: Probe, heads: Sequence[str]) -> list[Place]:
    """What each place holds, by our names, in order; then the scores of each head."""
    stacks = _stacks(model.module)
    seen, ends = {name: Seen() for name in stacks}, dict[str, Tensor]()

    def end(name: str) -> Callable[..., None]:
        return lambda stack, arguments, output: ends.update({name: output[0]})

    with ExitStack() as hooks:
        for name, stack in stacks.items():
            hooks.enter_context(seen[name].watching([stack.layers[layer] for layer in stack.order]))
            hooks.callback(stack.register_forward_hook(end(name)).remove)
        scores = probe.logits(model)
    places = list[Place]()
    for name, stack in stacks.items():
        reads = isinstance(model.module, EncoderDecoder) and stack is model.module.encoder
        first, *layers = (state.float().cpu() for state in seen[name].states)
        places.append(Place(f"{name}: embeddings", first, reads))
        places += [Place(f"{name}.layers.{number}", state, reads) for number, state in enumerate(layers)]
        places.append(Place(f"{name}: hidden", ends[name].float().cpu(), reads))
    if len(heads) < 2:
        return [*places, *(Place("logits", scores) for _ in heads)]
    return places + [Place(f"logits of {head}", probe.logits(model, head)) for head in heads]


@torch.no_grad()
def _run_theirs(theirs: nn.Module, probe: Probe, depths: list[int], folder: Path) -> list[Place]:
    """What each place holds, by their names, in order."""
    found = _lists(theirs)
    seen = {name: Seen() for name in found}
    with ExitStack() as hooks:
        for (name, layers), depth in zip(found.items(), depths, strict=False):
            hooks.enter_context(seen[name].watching(list(layers) if len(layers) == depth else _grouped(layers)))
        ends, scores = _call(theirs, probe)
    if [len(watched.states) - 1 for watched in seen.values()] != depths:
        there = {name: len(layers) for name, layers in found.items()}
        raise LoadError(f"{folder}: the reference's lists of layers are {there}, ours have {depths} layers")
    places = list[Place]()
    for (name, watched), end in zip(seen.items(), ends, strict=True):
        first, *layers = watched.states
        places.append(Place(f"input of {name}.0", first))
        places += [Place(f"{name}.{number}", state) for number, state in enumerate(layers)]
        places.append(Place("last hidden state", end))
    return places + [Place(name, made) for name, made in scores.items()]


def _lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    """The lists of modules that lie in no other list."""
    found = dict[str, nn.ModuleList]()
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(part, nn.ModuleList) and not inside:
            found[name] = part
    return found


def _grouped(groups: nn.ModuleList) -> list[nn.Module]:
    """The layers of groups of them, which may be executed again and again; without groups, the list's own."""
    lists = [part for group in groups for part in group.children() if isinstance(part, nn.ModuleList)]
    return [layer for part in lists for layer in part] or list(groups)


def _call(theirs: nn.Module, probe: Probe) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The hidden states at the end of each stack, and the scores by name, those of a class with two heads in order."""
    mask = probe.real.long()
    if probe.source is None:
        types = {} if probe.types is None else {"token_type_ids": probe.types}
        out = theirs(input_ids=probe.tokens, attention_mask=mask, output_hidden_states=True, return_dict=True, **types)
        ends = [out["hidden_states"][-1]]
    else:
        out = theirs(
            input_ids=probe.source,
            attention_mask=probe.source_real.long(),
            decoder_input_ids=probe.tokens,
            decoder_attention_mask=mask,
            output_hidden_states=True,
            return_dict=True,
        )
        ends = [out["encoder_hidden_states"][-1], out["decoder_hidden_states"][-1]]
    scores = {name: out[name] for name in out if name.endswith("logits")}
    length = probe.tokens.shape[1]  # some score all places of the context, however short the row
    return ends, {name: made[:, :length] if made.ndim == 3 else made for name, made in scores.items()}


def _off(ours: Tensor, theirs: Tensor, kept: Tensor) -> float:
    """max |ours - theirs| in standard deviations of theirs; infinite where the shapes differ. NaN stays NaN."""
    if ours.shape != theirs.shape:
        return float("inf")
    mine, other = ours[kept].double(), theirs[kept].double()
    return float((mine - other).abs().max() / other.std(correction=0).clamp(min=1e-30))


def _rank(difference: float) -> float:
    """For a maximum in which what is no number counts as the worst."""
    return float("inf") if difference != difference else difference
