"""Sounds with transcripts."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

from torch import nn

from weft.batch import Tokenizer
from weft.data.signals import LogMel, Waveform
from weft.data.signals.prepare_speech import Spoken, prepare_speech, processor_for, read_spoken, tokenizer_for
from weft.data.signals.processors import PROCESSOR, Processor
from weft.data.signals.speech import SpeechSettings
from weft.data.signals.utterances import Form, Hearing
from weft.data.sources import Say, quiet
from weft.data.tokenizers import PieceTable, Speech, named_tokenizer
from weft.evaluate import check
from weft.hub import Language, Stops, read_language
from weft.hub.preprocessor import reads_of
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder
from weft.nn.vectors import CTCHead
from weft.objectives import Classes
from weft.objectives.ctc import CTC
from weft.recipes.folder import Existing
from weft.recipes.modalities.speech_feed import SpeechFeed
from weft.recipes.modalities.speech_predict import predict_sounds
from weft.recipes.modality import MODALITIES, Modality, Usual
from weft.recipes.predicted import Predicted
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings


class Speaking(Modality):
    """Rows of frames or samples, and what is said in each."""

    settings = SpeechSettings
    made = "made_sounds"
    called = "sounds"
    keeps = (PROCESSOR,)
    fixed = ("tokenizer", "vocab", "window", "step", "normalise", "even")

    def usual(self, model: Blueprint) -> Usual:
        """Of a new model."""
        return Usual(SpeechSettings(), TrainSettings(steps=1000, batch=16), self.debug)

    def open(self, recipe: Recipe, found: Existing | None, out: Path, say: Say) -> SpeechFeed:
        """See `prepare_speech`."""
        settings, where = recipe.data, recipe.begin if found is None else out
        form, module = form_of(recipe), recipe.model.empty()
        if form == "class" and settings.join > 1:
            raise ValueError(f"data.join={settings.join}, but a class is of one sound: set data.join=1")
        spoken = read_spoken(settings, say)
        language = Language(None, Stops(), {}, {}) if where is None else read_language(where)
        processor = _processor(recipe, where, module)
        texts = [one.text or "" for one in (*spoken.train, *spoken.held_out)]
        tokenizer = None
        if form != "class":
            tokenizer = language.tokenizer or named_tokenizer(settings.tokenizer, "data.tokenizer=")
            tokenizer = tokenizer or tokenizer_for(settings, texts)
            _check_joins(settings, tokenizer, texts)
        classes = _classes(recipe, where, spoken) if form == "class" else ()
        begins = _begins(language, tokenizer) if form == "target" else ()
        longest = _embed(module).context
        if isinstance(processor, LogMel) and processor.places is not None:
            longest = processor.places if longest is None else min(longest, processor.places)
        hearing = Hearing(processor, form, tokenizer, classes, begins, longest)
        blueprint = _fitted(recipe, tokenizer, classes)
        fits = _Fits(module, hearing, recipe.model.config.context if form == "target" else None)
        speech = prepare_speech(settings, spoken, hearing, fits, say)
        for text in speech.notices:
            say(text)
        check(speech.held_out, recipe.minimised)
        return SpeechFeed(recipe, blueprint, speech.train, speech.held_out, speech.notices, speech, language)

    def check(self, recipe: Recipe) -> None:
        """ValueError for a model that hears no sounds, and for an objective that asks nothing of transcripts."""
        embed = _embed(recipe.model.empty())
        if embed.vocab:
            raise ValueError(f"{recipe.model.family} reads ids, not sounds: choose another family (`weft list`)")
        form_of(recipe)

    def predict(
        self, folder: Path, data: Path, out: Path | None, *, labelled: bool, device: str = "auto", say: Say = quiet
    ) -> Predicted:
        """What is said in each sound."""
        return predict_sounds(folder, data, out, labelled=labelled, device=device, say=say)


def form_of(recipe: Recipe) -> Form:
    """What is asked of each sound. ValueError for an objective that asks something else."""
    objective = recipe.minimised
    if isinstance(objective, CTC):
        return "labels"
    if isinstance(objective, Classes):
        return "class"
    if objective.pairs:
        return "target"
    raise ValueError(
        f"{objective.title} asks nothing of what is said in sounds: choose another objective (ctc, translate, classes)"
    )


def _check_joins(settings: SpeechSettings, tokenizer: Tokenizer, texts: list[str]) -> None:
    """ValueError for a tokenizer that can say transcripts, and not two of them with a space between, where some are
    joined."""
    if settings.join == 1:
        return
    for text in texts[:1]:
        tokenizer.encode(text)  # what it cannot say of one is no matter of joining
        try:
            tokenizer.encode(f"{text} {text}")
        except ValueError as error:
            raise ValueError(
                f"data.join={settings.join}, but what is said in joined sounds has spaces between, and this model's "
                f"tokenizer has none: set data.join=1, or train a new model ({error})"
            ) from error


class _Fits:
    """Whether a model can hear so many places, and say this of them."""

    def __init__(self, module: nn.Module, hearing: Hearing, context: int | None) -> None:
        self.embed, self.hearing, self.context = _embed(module), hearing, context

    def __call__(self, places: int, text: str) -> bool:
        processor, longest = self.hearing.processor, self.hearing.longest
        if isinstance(processor, LogMel):
            if processor.places is None and places * processor.step <= processor.window // 2:
                return False
            places = places if processor.places is None else max(places, processor.places)
        made = self.embed.extent(places)
        if (longest is not None and places > longest) or made < 1:
            return False
        if self.hearing.form == "class":
            return text in self.hearing.classes
        ids = self.hearing.ids(text)
        if self.context is not None:
            return len(self.hearing.begins) + len(ids) <= self.context
        return len(ids) + sum(one == other for one, other in pairwise(ids)) <= made


def _embed(module: nn.Module):
    assert isinstance(module, Encoder | EncoderDecoder), "sounds are read by an encoder"
    return module.embed


def _processor(recipe: Recipe, where: Path | None, module: nn.Module) -> LogMel | Waveform:
    """The one there is, or a new one. ValueError for one of no sounds."""
    processor: Processor | None = None
    if where is not None:
        reads = reads_of(where)
        processor = None if reads is None else reads.processor
    processor = processor or processor_for(recipe.data, _embed(module).channels)
    if not isinstance(processor, LogMel | Waveform):
        raise ValueError(f"{where} reads {type(processor).__name__}, not sounds: name a model that was trained on some")
    if processor.channels_of_place != _embed(module).channels:
        raise ValueError(
            f"{where}'s processor makes vectors of {processor.channels_of_place} numbers, and its model reads "
            f"{_embed(module).channels}"
        )
    if processor.rate != recipe.data.rate:
        raise ValueError(
            f"data.rate={recipe.data.rate}, but {where} hears {processor.rate} samples a second: set data.rate="
            f"{processor.rate}"
        )
    return processor


def _classes(recipe: Recipe, where: Path | None, spoken: Spoken) -> tuple[str, ...]:
    """The transcripts that are told apart. ValueError for more than the model does, and for one that is held out
    alone."""
    reads = None if where is None else reads_of(where)
    learned, held = ({one.text or "" for one in side} for side in (spoken.train, spoken.held_out))
    classes = reads.classes if reads is not None and reads.classes else tuple(sorted(learned))
    if strange := sorted(held - learned - set(classes)):
        raise ValueError(
            f"all sounds that say {strange[0]!r} are held out, so that nothing tells what it sounds like: give some to "
            "train on, hold out others (data.seed), or leave them out"
        )
    if len(classes) > recipe.model.config.classes:
        raise ValueError(
            f"{len(classes)} different things are said, and the model tells {recipe.model.config.classes} apart: set "
            f"model.classes={len(classes)}"
        )
    return classes


def _begins(language: Language, tokenizer: Tokenizer | None) -> tuple[int, ...]:
    """What targets begin with: of a published model of speech its word for English without times."""
    assert tokenizer is not None
    if isinstance(tokenizer, PieceTable):
        try:
            speech = Speech.of(tokenizer)
        except ValueError:
            speech = None
        if speech is not None:
            return tuple(speech.begins("en" if "en" in speech.languages else None))
    return language.begins or (tokenizer.end,)


def _fitted(recipe: Recipe, tokenizer: Tokenizer | None, classes: tuple[str, ...]) -> Blueprint:
    """The model with as many ids, or labels, as the tokenizer has. ValueError where it says something else."""
    model = recipe.model
    if tokenizer is None:
        return model
    module = model.empty()
    if isinstance(module, EncoderDecoder):
        return recipe.fitted(tokenizer.vocab)
    heads = [head for head in module.heads.values() if isinstance(head, CTCHead)] if isinstance(module, Encoder) else []
    if not heads or "labels" not in {field.name for field in fields(model.config)}:
        raise ValueError(f"{model.family} has no head that says labels: choose another objective, or another family")
    if heads[0].blank != tokenizer.end:
        raise ValueError(
            f"model.blank={heads[0].blank}, but the tokenizer's end, {tokenizer.end}, is what says nothing new: set "
            f"model.blank={tokenizer.end}"
        )
    if recipe.begin is not None:
        if heads[0].labels < tokenizer.vocab:
            raise ValueError(f"the model says {heads[0].labels} labels, and its tokenizer {tokenizer.vocab}")
        return model
    return replace(model, config=replace(model.config, labels=tokenizer.vocab))


MODALITIES.register("speech", Speaking())
