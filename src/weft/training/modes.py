"""Which parts of a module train and which evaluate, while a run lasts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module, SyncBatchNorm

from weft.objectives import bare


class Modes:
    """The modes of a module's parts.

    Where it is in training mode, parts that were put in evaluation mode (a frozen BatchNorm) stay there; where it is
    in evaluation mode, as what was just loaded is, all of it trains.
    """

    def __init__(self, module: Module):
        self.module = module
        self.found = modes(module)
        if not module.training:
            module.train()  # which a module may have its own idea of
        self.training = modes(module)
        put(self.found)

    def train(self) -> None:
        """As it is in a step."""
        put(self.training)

    def coupled(self) -> str:
        """What there is to say where a step goes through in parts: "" where no part trains on statistics of a batch."""
        kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)
        found = (type(part).__name__ for part, trains in self.training.items() if trains and isinstance(part, kinds))
        if (kind := next(found, "")) == "":
            return ""
        return (
            f"{kind} takes its statistics of the rows that go through it at once, which are a part of a step here: the "
            "numbers depend on micro_batches and processes"
        )

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Inside it the module trains; afterwards every part has the mode in which it was found."""
        self.train()
        try:
            yield
        finally:
            put(self.found)


def modes(module: Module) -> dict[Module, bool]:
    """Whether each part is in training mode."""
    return {part: part.training for part in module.modules()}


def put(found: Mapping[Module, bool]) -> None:
    """Give each part its mode."""
    for part, mode in found.items():
        part.training = mode


def parts(module: Module, names: Sequence[str]) -> list[Module]:
    """The parts of a module that are called so ("text", "image.stack"). ValueError for a name of none."""
    there = dict(module.named_modules())
    for name in names:
        if not name or name not in there:
            children = ", ".join(child for child, _ in module.named_children()) or "none"
            raise ValueError(
                f"frozen={name}: the model has no part of this name; it has {children}: name some of these"
            )
    return [there[name] for name in names]


@contextmanager
def frozen(module: Module, names: Sequence[str]) -> Iterator[None]:
    """Inside it the parts of these names take no gradient and evaluate, whatever trains; afterwards all is as it was
    found. ValueError for a name of none."""
    chosen, found = parts(bare(module), names), modes(module)
    weights = [(weight, weight.requires_grad) for part in chosen for weight in part.parameters()]
    if chosen and not module.training:
        module.train()  # or all of it would, see `Modes`
    for part in chosen:
        part.requires_grad_(False).eval()
    try:
        yield
    finally:
        for weight, trains in weights:
            weight.requires_grad_(trains)
        put(found)
