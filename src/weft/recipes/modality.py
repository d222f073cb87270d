"""Modalities: what a family is trained on, text or pictures or any other signal, and what is done with such a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weft.batch import Unfit
from weft.data.signals import PROCESSOR
from weft.data.sources import Say, quiet
from weft.hub import read_blueprint
from weft.hub.preprocessor import FILE, WHOLE
from weft.models import FAMILIES, Blueprint
from weft.recipes.predicted import Predicted
from weft.registry import Registry, UnknownName
from weft.training.settings import TrainSettings

if TYPE_CHECKING:
    from weft.recipes.feed import Feed, Told
    from weft.recipes.folder import Existing
    from weft.recipes.recipe import Recipe

Changes = tuple[tuple[str, str], ...]
DEBUG_STEPS: Changes = (
    ("model.size", "debug"),
    ("train.steps", "20"),
    ("train.batch", "8"),
    ("train.evaluate_every", "0"),
    ("train.checkpoint_every", "10"),
)
FURTHER_STEPS: Changes = (("train.steps", "10"), ("train.batch", "4"))


@dataclass(frozen=True)
class Usual:
    """What a run of a modality reads and how long it trains where nobody says it. debug: what --debug changes."""

    data: Any
    train: TrainSettings
    debug: Changes


@dataclass(frozen=True)
class Drawn:
    """What a model is to make. prompts: as its modality reads them (a class, a caption, a file to go on from); count:
    of each; tokens: the most places, None: as many as a whole one has; temperature, top_k, top_p, seed: of what is
    drawn. guidance, steps: of what is made out of noise, None: as usual. ValueError for a number of them below 1."""

    prompts: tuple[str, ...] = ()
    count: int = 1
    tokens: int | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    guidance: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("count", "tokens", "steps"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{option(name)} {number}, but at least 1 is made: give more, or leave it out")


class Modality(ABC):
    """One kind of data.

    settings: the frozen dataclass that a recipe of it has as its data, with `source` and `paths` among its fields, and
    `check()`. made: the source that needs no file. called: what a person calls such data. parts: the fields of a
    model's config in whose place saved models can be (`with_part`). keeps: the files of a run's folder that say what
    its model reads. fixed: the settings that are decided where a run begins with a model. hears: the fields of a
    `Drawn` that say what its models make; the others are refused. endings: of the files that are read where a folder of
    data is named, in small letters; "": of any, since tables are among them.
    """

    settings: type[Any]
    made: str
    called: str
    parts: tuple[str, ...] = ()
    keeps: tuple[str, ...] = (PROCESSOR,)
    fixed: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    endings: tuple[str, ...] = ("",)

    @property
    def examples(self) -> str:
        """What is counted where a model is scored, for people."""
        return self.called

    @abstractmethod
    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> Feed:
        """The data of a recipe, opened, and the model fitted to them. found: the run in `out` that goes on, whose
        processor or tokenizer stays; None: a new one."""

    def feed(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> Feed:
        """`open`. Where a saved model goes on with what is made on the spot, and cannot read it (`Unfit`), the error
        says so."""
        try:
            return self.open(recipe, found, out, say)
        except Unfit as error:
            if recipe.begin is None or recipe.data.source != self.made:
                raise
            raise Unfit(
                f"{recipe.begin} cannot go on with what data.source={self.made} makes on the spot: name data of its "
                f"own kind, --data ({error})"
            ) from error

    def usual(self, model: Blueprint) -> Usual:
        """Of a new model."""
        return Usual(self.settings(), TrainSettings(steps=1000, batch=64), self.debug)

    def further(self, model: Blueprint, folder: Path, was: Any | None) -> Usual:
        """Of the model saved in a folder, which is trained on, at a low rate. was: the data settings it was trained
        with; None where they are not known."""
        data = self.settings() if was is None else replace(was, paths=())
        return Usual(data, TrainSettings(steps=200, batch=64, rate=1e-4), (*FURTHER_STEPS, ("data.source", self.made)))

    @property
    def debug(self) -> Changes:
        """What --debug changes: it ends within seconds and needs no file."""
        return (*DEBUG_STEPS, ("data.source", self.made))

    def given(self, recipe: Recipe, own: Any, paths: tuple[str, ...]) -> Recipe:
        """The recipe with --data. own: its data settings before --debug changed them."""
        return replace(recipe, data=replace(own, paths=paths))

    def check(self, recipe: Recipe) -> None:  # noqa: B027 (most have nothing to say)
        """ValueError for a model that such data cannot be for."""

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """Write what the model in a folder says of each of the data, one JSON object a line. out: None writes nothing.
        labelled: the data say what is right, and it is scored; of those that the run was trained on what it held out
        alone. ValueError for a model that is not asked so."""
        raise ValueError(f"{folder} was trained on {self.called}, of which nothing is predicted one by one")

    def among(
        self, folder: Path, data: Path, out: Path, choices: Path, *, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """`predict`, where what is said of each is chosen from the lines of a file. ValueError for a model that
        cannot."""
        raise ValueError(f"{folder} was trained on {self.called}, which are not held against texts: leave --among out")

    def tell(self, folder: Path, seed: int, *, say: Say = quiet) -> Told:
        """What is said of the model in a folder without any data: of one that acts, what comes of it. ValueError for a
        model that is scored on data alone."""
        raise ValueError(f"{folder} was trained on {self.called}, and is scored on some: name them, --data FILE")

    def heard(self, asked: Drawn) -> None:
        """ValueError for what is said of what is made, where models of such data do not hear it (`hears`)."""
        usual = Drawn()
        for field in fields(Drawn):
            if field.name not in self.hears and getattr(asked, field.name) != getattr(usual, field.name):
                known = ", ".join(option(name) for name in self.hears)
                raise ValueError(
                    f"{option(field.name)} {getattr(asked, field.name)} is not heard by models of {self.called}, and "
                    f"{known} are: leave {option(field.name)} out"
                )

    def written(self, asked: Drawn, out: Path) -> tuple[Path, ...]:
        """The files that `generate` writes. ValueError for a name that ends otherwise than they do."""
        return (out,)

    def read(self, asked: Drawn) -> tuple[Path, ...]:
        """The files that `generate` reads: of most modalities none."""
        return ()

    def generate(self, folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
        """Write what the model in a folder makes, and say what was written. ValueError for one that makes nothing."""
        raise ValueError(f"{folder} was trained on {self.called}, and makes none")

    def draw(
        self, folder: Path, asked: Drawn, *, device: str = "auto", say: Say = quiet
    ) -> tuple[Any, tuple[str, ...] | None]:
        """Pictures that the model in a folder draws, uint8 [N, height, width, channels], and the class that each was to
        be of; None: none was asked for. ValueError for one that draws none."""
        raise ValueError(f"{folder} was trained on {self.called}, and draws no pictures")

    def embed(self, folder: Path, data: Path, *, device: str = "auto", say: Say = quiet) -> tuple[Sequence[str], Any]:
        """What each of the data is called, and a vector of each, fp32 [N, D]. ValueError for a model without any."""
        raise ValueError(f"{folder} was trained on {self.called}, of which it makes no vectors")


def option(field: str) -> str:
    """How a field of a `Drawn` is said on the command line."""
    return "--" + {"prompts": "prompt"}.get(field, field).replace("_", "-")


_FILES = (
    "captions",
    "codes",
    "drawings",
    "episodes",
    "music",
    "pictures",
    "pixels",
    "questions",
    "series",
    "speech",
    "tasks",
    "text",
)
MODALITIES: Registry[Modality] = Registry(
    "modality",
    "weft.modalities",
    tuple(f"weft.recipes.modalities.{name}" for name in _FILES),
)


def modality_of(data: Any) -> Modality:
    """Whose data settings these are."""
    return MODALITIES.get(name_of(data))


def name_of(data: Any) -> str:
    """What the modality is called whose data settings these are. ValueError where there is none."""
    for name, modality in MODALITIES.all().items():
        if modality.settings is type(data):
            return name
    raise ValueError(f"{type(data).__name__} are no data settings of any modality: register one (MODALITIES)")


def of_family(name: str) -> Modality:
    """What a family is trained on."""
    modality = FAMILIES.get(name).modality
    try:
        return MODALITIES.get(modality)
    except UnknownName as error:
        raise ValueError(
            f"{name} is trained on {modality}, which weft train does not read: train its module from Python "
            "(weft.train), or choose another family (`weft list`)"
        ) from error


def of_folder(folder: Path) -> Modality:
    """What the model in a folder was trained on: by its run, or, where there is none, what its family is."""
    from weft.recipes.folder import data_settings  # which reads settings by their modality

    data = data_settings(folder)
    return of_family(read_blueprint(folder).family) if data is None else modality_of(data)


def reads_signals(folder: Path) -> bool:
    """Whether the model in a folder reads signals, alone or beside text, and the folder says how they become rows: as
    weft or as others publish it."""
    if (folder / PROCESSOR).is_file():
        return True
    said = any((folder / name).is_file() for name in (FILE, WHOLE))
    return said and FAMILIES.get(read_blueprint(folder).family).reads != "text"
