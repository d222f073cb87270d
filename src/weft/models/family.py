"""What a family declares, and where families are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from weft.models.published import Published, Table
from weft.nn.initialise import normal
from weft.registry import Registry

Reads = Literal["text", "signals", "both"]
DEBUG = dict(vocab=131, context=64, width=48, depth=2, heads=4)  # what most decoders have at these two sizes
SMALL = dict(vocab=4096, context=256, width=384, depth=6, heads=6)


@dataclass(frozen=True)
class Family:
    """A declarative description of an architecture.

    name:       what it is registered under.
    config:     a frozen dataclass of plain data, with `vocab` and `context` among its fields; of a family that reads
                signals and writes nothing they are properties, of 0 ids and of as many places as a whole signal has; of
                one that has others inside (fields that hold Blueprints), those of what reads text.
    reads:      "text": rows of ids that a tokenizer makes; "signals": rows that a processor makes, of vectors or, where
                there is a vocab, of ids (colours), among which there is no text; "both": rows of a tokenizer's ids, and
                beside them a processor's as their source.
    modality:   what `weft train` gives it: "text", "pictures" …; see `weft.recipes.modality`.
    alone:      it is trained by itself; False: as a part of other families.
    build:      (config, *, position=None, attention=Attention) -> a bare module.
    initialise: (module, config) -> None, from torch's default generator.
    sizes:      fields of the config by size; "debug" trains on a CPU in seconds, "small" in minutes.
    objective:  the name of what it is pretrained with.
    states:     of a config, how wide the states are that it makes of a text it reads.
    terms:      of a config, the weights of the model's auxiliary terms by name ("balance"), for the objective.
    packs:      rows may hold several documents (segments) without one seeing another.
    swaps:      what build takes in place of the family's own, of "position" and "attention"; the rest it refuses.
    weights:    (ours, theirs, transform) names, see `weft.hub.moves`; or what makes them of a config, where how
                tensors are joined depends on its sizes.
    published:  how it stands in published folders; None where nobody else publishes it.
    summary:    one line for people.
    """

    name: str
    config: type[Any]
    build: Callable[..., nn.Module]
    initialise: Callable[[nn.Module, Any], None]
    sizes: Mapping[str, Mapping[str, Any]]
    objective: str = "next_token"
    reads: Reads = "text"
    modality: str = "text"
    alone: bool = True
    states: Callable[[Any], int] = lambda config: config.width
    terms: Callable[[Any], Mapping[str, float]] = lambda config: {}
    packs: bool = True
    swaps: tuple[str, ...] = ("position", "attention")
    weights: Table | Callable[[Any], Table] = ()
    published: Published | None = None
    summary: str = ""

    def rows(self, config: Any) -> Table:
        """The names of its own weights, for a config of this family."""
        return self.weights(config) if callable(self.weights) else self.weights

    def table(self, config: Any) -> Table:
        """Those, and the names of what it has inside."""
        rows = [*self.rows(config)]
        for inner in self.published.inner if self.published else ():
            blueprint = getattr(config, inner.ours)
            for ours, theirs, how in FAMILIES.get(blueprint.family).table(blueprint.config):
                rows.append((inner.module + ours, inner.prefix + theirs, how))
        return rows


def draw(module: nn.Module, config: Any) -> None:
    """N(0, 0.02²) for any config; unlike in BERT's authors' code it is not cut off at two standard deviations."""
    normal(module, std=0.02)


# fmt: off
_FILES = (
    "albert", "bart", "bert", "bloom", "cct", "clip", "conformer", "deberta", "decision", "deit", "distilbert", "dit",
    "electra", "falcon", "gemma", "gpt", "gpt_oss", "imagegpt", "llama", "llava", "mae", "modernbert", "music",
    "neox", "olmo2", "perceiver", "perceiver_text", "phi3", "qwen", "rnn", "roberta", "series", "siglip", "t5",
    "transformer", "unit", "vit", "vqgan", "wav2vec2_conformer", "whisper",
)
# fmt: on
FAMILIES: Registry[Family] = Registry("family", "weft.families", tuple(f"weft.models.{name}" for name in _FILES))


def reading(reads: Reads) -> list[str]:
    """The names of the families that read text, or signals, or both, and are trained by themselves."""
    families = {name: FAMILIES.get(name) for name in FAMILIES.names()}
    return [name for name, family in families.items() if family.alone and family.reads == reads]
