"""Music: pieces of notes, written as ids that no tokenizer makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weft.data.signals import PROCESSOR
from weft.data.signals.notation import Notation
from weft.data.signals.scores import ARRAYS, MIDI, MusicSettings, prepare_music
from weft.data.sources import Say, quiet
from weft.evaluate import check
from weft.files import DamagedFile
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.nn import Decoder
from weft.recipes.folder import Existing
from weft.recipes.modalities.music_feed import MusicFeed
from weft.recipes.modalities.music_write import files_of, play, predict_music
from weft.recipes.modality import MODALITIES, Drawn, Modality, Usual
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings


class Music(Modality):
    """Rows of ids that stand for notes."""

    settings = MusicSettings
    made = "made_music"
    called = "music"
    fixed = ("encoding", "voices", "longest", "per_quarter")
    endings = (*MIDI, *ARRAYS)
    hears = ("prompts", "count", "tokens", "temperature", "top_k", "top_p", "seed")

    @property
    def examples(self) -> str:
        """Pieces."""
        return "pieces"

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> MusicFeed:
        """See `prepare_music`; the model takes as many ids as there are."""
        where = recipe.begin if found is None else out
        notation = None if where is None else notation_of(where)
        music = prepare_music(recipe.data, recipe.model.config.context, notation, say)
        for text in music.notices:
            say(text)
        objective = recipe.minimised
        held_out = objective.turn_signals(music.held_out, 0)
        check(held_out, objective)
        train = objective.turn_signals(music.train, recipe.train.seed)
        return MusicFeed(recipe, fitted(recipe, music.notation.vocab), train, held_out, music.notices, music)

    def usual(self, model: Blueprint) -> Usual:
        """Of a new model."""
        return Usual(MusicSettings(), TrainSettings(steps=1000, batch=16), self.debug)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that is no decoder of ids."""
        module = recipe.model.empty()
        if not isinstance(module, Decoder) or not module.stem.vocab:
            raise ValueError(
                f"{recipe.model.family} writes no ids, and music is written as some: choose a decoder (`weft list`)"
            )

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """How likely the model finds each piece."""
        return predict_music(folder, data, out, labelled=labelled, device=device, say=say)

    def written(self, asked: Drawn, out: Path) -> tuple[Path, ...]:
        """A file for each piece."""
        return files_of(asked, out)

    def read(self, asked: Drawn) -> tuple[Path, ...]:
        """The pieces that are gone on from."""
        return tuple(map(Path, asked.prompts))

    def generate(self, folder: Path, asked: Drawn, out: Path, *, device: str = "auto", say: Say = quiet) -> str:
        """Pieces, as MIDI files or piano rolls."""
        self.heard(asked)
        return play(folder, asked, out, device=device, say=say)


def notation_of(folder: Path) -> Notation:
    """How the model in a folder writes music. ValueError where nothing says it, or it is of other signals."""
    known = reads_of(folder)
    if known is None:
        raise DamagedFile(f"{folder} has no {PROCESSOR}, so its weights say nothing of any music")
    if not isinstance(known.processor, Notation):
        raise ValueError(f"{folder} reads no music: name a model that was trained on some")
    return known.processor


def fitted(recipe: Recipe, vocab: int) -> Blueprint:
    """The model with as many ids as there are. ValueError where `change` asked for another number."""
    if recipe.vocab not in (None, vocab):
        raise ValueError(
            f"model.vocab={recipe.vocab}, but music is written with {vocab} ids: leave model.vocab out; data.encoding, "
            "data.voices and data.longest say how many there are"
        )
    return replace(recipe.model, config=replace(recipe.model.config, vocab=vocab))


MODALITIES.register("music", Music())
