"""What a person asks for, and what every seed of it trains on and is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from weft.data import LibraryTokenizer
from weft.data.labelled import choose_some
from weft.evaluate import Metric
from weft.hub import Model, as_ours, load
from weft.nn import Encoder, EncoderDecoder
from weft.nn.encoder import PlacePooler
from weft.objectives.tasks import RowTask
from weft.objectives.tasks_head import Pooling, WithHead
from weft.recipes.tuning.description import Columns, Description, Reading
from weft.recipes.tuning.kind import Encoded, How, Kind, most
from weft.recipes.tuning.kinds import KINDS
from weft.recipes.tuning.scores import score
from weft.training.settings import TrainSettings

USUAL = TrainSettings(
    epochs=3, batch=32, rate=5e-5, weight_decay=0.01, beta2=0.999, schedule="linear", floor=0.0, compile="off", keep=1
)


@dataclass(frozen=True)
class Tuning:
    """What a person asks for. begin: the model's folder, or its name on the hub. metric, pooling, context: None, the
    task's and the model's usual. language: of a decoder, how much a row's own next tokens weigh beside what is asked.
    labels: the classes; none: those of the data. examples: so many of the data's are learned from, chosen by
    train.seed, of each class in proportion (`choose_some`); None: all. stride: of questions, see `Reading`. seeds: how
    many runs, of train.seed and those that follow it."""

    begin: Path | str
    task: str
    data: Path | str
    dev: Path | str
    columns: Columns = field(default_factory=Columns)
    metric: str | None = None
    pooling: Pooling | None = None
    layers: int | None = None
    language: float = 0.0
    context: int | None = None
    every_piece: bool = False
    stride: int | None = None
    labels: tuple[str, ...] = ()
    examples: int | None = None
    seeds: int = 1
    train: TrainSettings = USUAL

    @property
    def said(self) -> dict[str, object]:
        """What somebody says that not every task hears, by name."""
        named = {"pooling": self.pooling, "labels": self.labels or None, "stride": self.stride}
        named |= {"language": self.language or None, "every_piece": self.every_piece or None}
        return self.columns.said | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Prepared:
    """What every seed trains on and is judged by."""

    model: Model
    description: Description
    metric: Metric
    train: Encoded
    dev: Encoded


def prepare(tuning: Tuning, tell: Callable[[str], None]) -> Prepared:
    """The model, and the data as rows of its ids. ValueError for what does not fit, naming file and line."""
    kind = KINDS.get(tuning.task)
    kind.check_heard(tuning.said, tuning.task)
    model = load(tuning.begin)
    for text in model.notices:
        tell(text)
    if tuning.metric is not None:
        kind.fitting(tuning.metric, f"the task {tuning.task}")
    tokenizer = model.need_tokenizer()
    if isinstance(tokenizer, LibraryTokenizer) and tokenizer.template is None:
        tokenizer = as_ours(model.blueprint, tokenizer)  # which then says the same in the tuned model's folder
    model = replace(model, tokenizer=tokenizer)
    examples, held_out = (kind.read(Path(path), tuning.columns, labelled=True) for path in (tuning.data, tuning.dev))
    plan = planned(tuning, model.module, model.config, examples, held_out, tell)
    description, metric = plan.description, plan.metric
    # on the meta device: layers that the model does not have are refused before anything is written
    description.objective.wrap(model.blueprint.empty(), model.blueprint, 0, lambda name: load(name).module)
    rows = [kind.encode(these, description, tokenizer, tell, labelled=True) for these in (plan.examples, held_out)]
    if metric.needs in ("classes", "numbers", "tags"):  # what cannot be scored is refused before it is trained for
        metric.score(rows[1].gold(metric.needs), rows[1].gold(metric.needs))
    return Prepared(model, description, metric, *rows)


@dataclass(frozen=True)
class Planned:
    """What a tuning is, before there is a row of ids. examples: those that are learned from."""

    description: Description
    metric: Metric
    examples: list[Any]


def planned(
    tuning: Tuning,
    module: nn.Module,
    config: Any,
    examples: list[Any],
    held_out: list[Any],
    tell: Callable[[str], None],
) -> Planned:
    """What follows from the data, of which all examples are given, and from a model's parts and sizes: its weights are
    not looked at. ValueError for what does not fit, naming file and line."""
    kind = KINDS.get(tuning.task)
    metric = kind.fitting(tuning.metric or kind.usual(examples), f"the task {tuning.task}")
    labels = tuning.labels or kind.labels(examples, metric)
    examples, told = _some(tuning, kind, examples)
    if absent := kind.absent(examples, labels, metric):
        tell(f"nothing in {told} has the label {', '.join(map(repr, absent))}: it will never be learned")
    kind.absent(held_out, labels, metric)
    metric.check(kind.classes(examples, labels))
    objective = kind.objective(examples, labels, _how(tuning, module, config))
    objective.check(module)
    if objective.reads == "pooler" and kind.two(tuning.columns):
        _check_reads_both(module)
    if isinstance(objective, RowTask) and tuning.pooling is None and objective.pooling == "first":
        tell("the model has no pooler: the head reads the state of each row's first token (--pooling mean: of all)")
    reading = _reading(tuning, kind, config.context)
    described = Description(tuning.task, objective, tuning.columns, labels, metric.name, reading)
    return Planned(described, metric, examples)


def _check_reads_both(module: nn.Module) -> None:
    """ValueError where a model's own pooler reads the first of two texts alone."""
    pooler = module.pooler if isinstance(module, Encoder) else None
    if isinstance(pooler, PlacePooler) and not pooler.pairs:
        raise ValueError(
            "rows hold two texts, and this model's pooler reads where the first one ends, whatever the second says: "
            "choose --pooling last, first or mean"
        )


def _some(tuning: Tuning, kind: Kind, examples: list[Any]) -> tuple[list[Any], str]:
    """Those that are learned from, and what to call them. ValueError where there are not so many."""
    if tuning.examples is None:
        return examples, str(tuning.data)
    try:
        chosen = choose_some(kind.groups(examples), tuning.examples, tuning.train.seed)
    except ValueError as error:
        raise ValueError(f"{tuning.data}: {error}") from error
    return [examples[place] for place in chosen], f"the {len(chosen):,} examples chosen of {tuning.data}"


def _reading(tuning: Tuning, kind: Kind, context: int | None) -> Reading:
    asked = min(kind.context, context or kind.context) if tuning.context is None else tuning.context
    if tuning.stride is None:
        return most(Reading(asked, tuning.every_piece), context)
    return most(Reading(asked, tuning.every_piece, tuning.stride), context)


def _how(tuning: Tuning, module: nn.Module, config: Any) -> How:
    """What the head reads, and the model's own dropout for it."""
    rate = config.dropout if "dropout" in {field.name for field in fields(config)} else 0.0
    pooling: Pooling | None = tuning.pooling
    if pooling is None and isinstance(module, Encoder):
        pooling = "first" if module.pooler is None else "pooler"
    if pooling is None and isinstance(module, EncoderDecoder):
        pooling = "mean"
    return How(pooling or "last", tuning.layers, rate, tuning.language)


def judged(module: nn.Module, prepared: Prepared) -> dict[str, float]:
    """The metric and the loss of the dev set, in fp32: those of the model that is saved."""
    assert isinstance(module, WithHead)
    dev, metric = prepared.dev, prepared.metric
    scored = score(module, dev.data, prepared.description.objective, labelled=True)
    assert scored.loss is not None
    found = metric.score(dev.predicted(scored.rows, metric.needs), dev.gold(metric.needs))
    return {metric.name: found.value, "loss": scored.loss}


def constant(prepared: Prepared) -> float | None:
    """What the commonest class, or tag, of the training set would score on the dev set; None where neither is asked."""
    metric, gold = prepared.metric, prepared.dev.gold(prepared.metric.needs)
    if metric.needs == "classes":
        return metric.score([_commonest(prepared.train.gold("classes"))] * len(gold), gold).value
    if metric.needs == "tags":
        tag = _commonest([tag for tags in prepared.train.gold("tags") for tag in tags])
        return metric.score([[tag] * len(tags) for tags in gold], gold).value
    return None


def _commonest(values: Sequence[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]
