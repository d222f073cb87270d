"""Pictures with what is said of each, for a model that draws: captions, or the name of a class for one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

from weft.batch import Tokenizer
from weft.data.captions import CAPTION_SOURCES, Captioned, CaptionSettings, prepare_captions
from weft.data.signals import SIGNAL_SOURCES, Augment, Labelled, Patches, SignalSettings, prepare_signals
from weft.data.signals.pictures import ANY, PictureSizes
from weft.data.sources import Say, quiet
from weft.data.tokenizers import named_tokenizer, train_tokenizer
from weft.registry import UnknownName, suggest

TEXT = "{text}"  # a row's caption
CAPTIONED = ("image_column", "text_column", "pictures", "templates", "drop", "alike")  # settings of captions alone


@dataclass(frozen=True)
class DrawingSettings(CaptionSettings):
    """As captions, which are drawn and not looked for: `asked`, `class_column` and `prompts` say nothing of them.
    source: one of theirs, or one of pictures with classes, of which each one's caption is its class's name. Of these
    held_out is the share of what no file's name says, and what is said of tables and their rows (CAPTIONED) is refused;
    paths, seed, tokenizer, vocab and augment are heard of either."""

    def check(self) -> None:
        """ValueError, naming the setting, for what can be none, and for what would not be heard."""
        super().check()
        classes = self.source in SIGNAL_SOURCES.names()
        unread = ("asked", "class_column", "prompts", *(CAPTIONED if classes else ()))
        for name, usual in ((field.name, field.default) for field in fields(self) if field.name in unread):
            if (value := getattr(self, name)) != usual:
                what = "pictures that are drawn by their classes" if classes else "drawings"
                raise ValueError(f"data.{name}={value}, but of {what} nothing reads it: leave it out")


@dataclass(frozen=True)
class Drawings:
    """Pairs to train on and pairs held out, what made them, and the classes, where captions are their names. digest: of
    all of them and of the settings."""

    train: Captioned
    held_out: Captioned
    processor: Patches
    tokenizer: Tokenizer
    classes: tuple[str, ...]
    digest: str


def prepare_drawings(
    settings: DrawingSettings,
    fit: Patches,
    context: int,
    *,
    processor: Patches | None = None,
    tokenizer: Tokenizer | None = None,
    say: Say = quiet,
) -> Drawings:
    """See `prepare_captions`. ValueError also for a source that is neither's."""
    settings.check()
    if settings.source in CAPTION_SOURCES.names():
        found = prepare_captions(settings, fit, context, processor=processor, tokenizer=tokenizer, say=say)
        return Drawings(found.train, found.held_out, found.processor, found.tokenizer, (), found.digest)
    if settings.source not in SIGNAL_SOURCES.names():
        known = [*CAPTION_SOURCES.names(), *SIGNAL_SOURCES.names()]
        raise UnknownName(f"no source is called {settings.source!r}; {suggest(settings.source, known)}")
    pictures = SignalSettings(
        settings.source, settings.paths, settings.held_out, settings.seed, augment=settings.augment
    )
    signals = prepare_signals(pictures, PictureSizes(fit.image, fit.patch, fit.channels, ANY), processor, say)
    for text in signals.notices:
        say(text)
    made = signals.processor
    assert isinstance(made, Patches)
    tokenizer = tokenizer or named_tokenizer(settings.tokenizer, "data.tokenizer=")
    tokenizer = tokenizer or train_tokenizer(settings.tokenizer, signals.classes, settings.vocab)

    def said(side: Labelled, augment: Augment | None) -> Captioned:
        rows = [{"text": signals.classes[label]} for label in side.labels]
        return Captioned(
            side.signals, rows, made, tokenizer, context, templates=(TEXT,), augment=augment, seed=settings.seed
        )

    train = said(signals.train, settings.augment)
    digest = hashlib.sha256(f"{signals.digest}/{signals.classes}".encode()).hexdigest()
    return Drawings(train, said(signals.held_out, None), made, tokenizer, signals.classes, digest)
