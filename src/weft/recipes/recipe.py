"""What a recipe says, and where recipes are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from weft.data import DataSettings
from weft.models import FAMILIES, Blueprint
from weft.objectives import (
    OBJECTIVES,
    Objective,
    Writing,
    change_objective,
    objective_from_text,
    objective_to_data,
)
from weft.recipes.modality import DEBUG_STEPS, modality_of, name_of
from weft.recipes.parts import check_kept
from weft.registry import Registry, nearest
from weft.settings import SettingError, change, to_data
from weft.training.settings import LENGTHS, TrainSettings

PARTS = ("model", "objective", "data", "train")  # of a recipe's settings: each has a name, then a dot and a setting's


@dataclass(frozen=True)
class Recipe:
    """A run, whole: what is trained, on what, how long, and what is shown at the end.

    prompts: what the model continues when it is done. baselines: also score an interpolated 5-gram and xz,
    where the tokenizer is lossless.
    debug: settings changed by --debug, which must end within seconds and need no file from outside.
    story: the recipe's docstring: command, cost, number to expect. vocab: what model.vocab was set to by `change`; None
    where nobody did, and the model takes as many ids as the tokenizer turns out to have. begin: the saved model whose
    weights and tokenizer the run begins with; None begins with new ones. parts: saved models that parts of a new one
    begin with, by the config's field (`with_part`). objective: None, the family's own.
    data: the settings of a modality (`weft.recipes.modality`). metrics: of texts, by which the finished model's
    translations of the held-out sources are scored.
    """

    name: str
    model: Blueprint
    data: Any
    train: TrainSettings
    prompts: tuple[str, ...] = ()
    sample_tokens: int = 120
    temperature: float = 0.8
    baselines: bool = False
    debug: tuple[tuple[str, str], ...] = ()
    story: str = ""
    vocab: int | None = None
    begin: Path | None = None
    parts: Mapping[str, Path] = field(default_factory=dict)
    objective: Objective | None = None
    metrics: tuple[str, ...] = ()

    @property
    def minimised(self) -> Objective:
        """The objective: the one that was chosen, else the family's own, told how its model weighs auxiliary terms."""
        family = FAMILIES.get(self.model.family)
        terms = family.terms(self.model.config)
        if self.objective is None:
            return OBJECTIVES.get(family.objective)(**terms)
        if isinstance(self.objective, Writing) and self.objective.balance is None:
            return replace(self.objective, **terms)
        return self.objective

    @property
    def texts(self) -> DataSettings:
        """The data settings of a recipe that reads text. ValueError where it reads signals."""
        if not isinstance(self.data, DataSettings):
            raise ValueError(f"{self.name} reads signals, and this is done with text: name a recipe or family of text")
        return self.data

    @property
    def length(self) -> int:
        """How many tokens of text its rows have."""
        return self.minimised.length(self.model.empty(), self.model.config.context)

    @property
    def summary(self) -> str:
        """The story's first paragraph, on one line."""
        return " ".join(self.story.strip().split("\n\n")[0].split())

    def change(self, path: str, text: str) -> Recipe:
        """One setting, addressed as model.*, objective.*, data.* or train.*, changed; `objective` alone is its name."""
        head, _, rest = path.partition(".")
        if head == "objective":
            return self._other_objective(rest, text)
        if head not in PARTS or not rest:
            meant = self._meant(head, rest)
            hint = f"did you mean {meant}? " if meant else ""
            raise SettingError(f"unknown setting {path!r}; {hint}settings are addressed as {'.*, '.join(PARTS)}.*")
        try:
            if head == "model":
                model = self.model.change(rest, text)
                check_kept(self.parts, self.model, model, f"{path}={text}")
                return replace(self, model=model, vocab=model.config.vocab if rest == "vocab" else self.vocab)
            if head == "data":
                return replace(self, data=self._other_data(rest, text))
            train = replace(self.train, **dict.fromkeys(LENGTHS, 0)) if rest in LENGTHS else self.train
            return replace(self, train=change(train, rest, text))  # one length takes the place of another
        except SettingError as error:
            said = str(error)
            raise SettingError(f"{head}.{said}" if said.startswith(rest) else said) from error

    def _other_objective(self, path: str, text: str) -> Recipe:
        """Another objective, and a new model with the heads that it asks; or one of its settings changed."""
        if path:
            return replace(self, objective=change_objective(self.minimised, path, text))
        objective = objective_from_text(text)
        model = self.model if self.begin is not None else with_heads(self.model, objective.heads)
        data = with_source(self.data, pairs=objective.pairs) if isinstance(self.data, DataSettings) else self.data
        return replace(self, objective=objective, model=model, data=data)

    def _other_data(self, name: str, text: str) -> Any:
        """The data settings with one changed; SettingError for one that the model which a run begins with decided."""
        data = change(self.data, name, text)
        begun = self.begin or self.parts.get("text")
        if begun is not None and data != self.data and name in modality_of(data).fixed:
            kept = "tokenizer" if name == "vocab" else name
            raise SettingError(f"{name}={text}: {begun} keeps the {kept} it was trained with: leave it out")
        return data

    def _meant(self, head: str, rest: str) -> str:
        """What a path that leads to no setting may have been meant to be: a part misspelt, or left out ("steps")."""
        known = {part: f"{part}.{rest or '…'}" for part in PARTS}
        if not rest:
            model = ("size", "position", "attention", *(field.name for field in fields(self.model.config)))
            known |= {name: f"model.{name}" for name in model}
            known |= {field.name: f"data.{field.name}" for field in fields(self.data)}  # vocab is data's to set
            known |= {field.name: f"train.{field.name}" for field in fields(self.train)}
            known |= {field.name: f"objective.{field.name}" for field in fields(self.minimised)}
        near = nearest(head, known)
        return "" if near is None else known[near]

    def settings(self, model: Blueprint) -> dict[str, Any]:
        """Every setting as plain data, part by part. model: the recipe's own, fitted to a tokenizer or not yet."""
        return {
            "model": model.to_data(),
            "objective": objective_to_data(self.minimised),
            "data": {"modality": name_of(self.data)} | to_data(self.data),
            "train": to_data(self.train),
        }

    def fitted(self, vocab: int) -> Blueprint:
        """The model with a tokenizer's number of ids; one that the run begins with keeps rows it has to spare.
        ValueError where `change` asked for another one."""
        if self.vocab is not None and self.vocab != vocab:
            raise ValueError(
                f"model.vocab={self.vocab}, but the tokenizer has {vocab} ids: leave model.vocab out, the model takes "
                "the tokenizer's (data.vocab is the most it may have)"
            )
        spare = 0 if self.begin is None else self.model.config.vocab
        return self.model.change("vocab", str(max(vocab, spare)))


def with_source(data: DataSettings, *, pairs: bool) -> DataSettings:
    """The data settings with a source of pairs, or of texts, in place of the other kind's usual one."""
    usual = {"text": "pairs", "made": "made_pairs"}
    other = usual if pairs else {name: text for text, name in usual.items()}
    return replace(data, source=other.get(data.source, data.source))


def with_heads(model: Blueprint, heads: tuple[str, ...]) -> Blueprint:
    """An encoder's blueprint with those of some heads that its family has, and no others."""
    known = {field.name for field in fields(model.config)}
    if not heads or "tasks" not in known:
        return model
    own, pooled = list[str](), False
    for head in heads:
        asked = {"tasks": (head,)} | ({"pooler": True} if "pooler" in known else {})
        try:
            module = replace(model, config=replace(model.config, **asked)).empty()
        except ValueError:  # no head of this name
            continue
        own.append(head)
        pooled = pooled or bool(module.heads[head].pooled)  # type: ignore[index, union-attr]
    changes = {"tasks": tuple(own)} | ({"pooler": pooled} if "pooler" in known else {})
    return replace(model, config=replace(model.config, **changes))


RECIPES: Registry[Recipe] = Registry("recipe", "weft.recipes", ("weft.recipes.builtin",))

DEBUG = (*DEBUG_STEPS, ("data.vocab", "384"))  # what --debug changes in a recipe of text, apart from its source
