"""What a model hears in sounds, one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from weft.data.progress import counted
from weft.data.sides import kept_back, of_part
from weft.data.signals.digits import RULE
from weft.data.signals.given import untrained
from weft.data.signals.listing import files_below
from weft.data.signals.prepare_speech import held_of
from weft.data.signals.recordings import SOUND_SOURCES, Recording
from weft.data.signals.speech import SpeechSettings
from weft.data.sources import Say, quiet
from weft.evaluate import METRICS
from weft.files import write_bytes
from weft.hub import Model, load
from weft.hub.hearing import check_hears, heard, processor_of, row_of
from weft.nn import Encoder
from weft.recipes.folder import Own, data_settings, own_data
from weft.recipes.predicted import Predicted
from weft.training.world import place

DIGITS, SOUNDS, MADE = "spoken_digits", "sounds", "made_sounds"  # sources
ARCHIVES = (".tar", ".tar.gz", ".tgz")


def predict_sounds(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    *,
    labelled: bool = False,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each sound: its name, and the text that is heard.

    data: a sound, a folder, a table of files and transcripts, or an archive of spoken digits. out: None writes nothing.
    labelled: they say what is said in them, and error rates are computed: of those that the model was trained on of
    what it held out alone, of others of what no name says is to train on. ValueError or DamagedFile says what is wrong.
    """
    model = load(folder, device=device if device != "auto" else place("auto"))
    check_hears(model)
    processor = processor_of(model)
    known = data_settings(Path(folder))
    settings = known if isinstance(known, SpeechSettings) else None
    own, apart = own_data(Path(folder), Path(data)) if labelled else None, False
    if own is not None:
        given, apart = _own(own, processor.rate, say)
    else:
        given = given_sounds(Path(data), settings, processor.rate, say)
        given = _scored(given, settings or SpeechSettings(), say) if labelled else given
    if labelled:
        _check_said(given)
    rows = [row_of(model, one.name, one.samples) for one in given]
    found = heard(model, rows, advance=counted(say, "heard", len(rows)))
    if out is not None:
        lines = [{"file": one.name, "text": text} for one, text in zip(given, found, strict=True)]
        write_bytes(Path(out), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    if not labelled:
        return Predicted(len(found), None, None)
    return _judged(model, found, [one.text or "" for one in given], say, apart=apart)


def _judged(model: Model, found: Sequence[str], gold: Sequence[str], say: Say, *, apart: bool) -> Predicted:
    """How right what was heard is: of a model that tells classes apart, how often; of another, by errors. apart: see
    `Predicted`."""
    classes = isinstance(model.module, Encoder) and model.reads is not None and bool(model.reads.classes)
    names = ("accuracy",) if classes else ("wer", "cer", "accuracy")
    metric, *others = (METRICS.get(name) for name in names)
    more = tuple(other.score(found, gold) for other in others)
    return Predicted(len(found), metric.score(found, gold), metric.interval(found, gold, say), more, apart=apart)


def given_sounds(path: Path, settings: SpeechSettings | None, rate: int, say: Say = quiet) -> list[Recording]:
    """The sounds that a path names, at `rate` samples a second, as `source_of` has them read. settings: of the run that
    trained the model; None: none says. A sound that is called as a spoken digit is says nothing of what is said in it,
    but where the run read names. ValueError where there are none."""
    source = source_of(path, None if settings is None else settings.source)
    asked = replace(settings or SpeechSettings(), source=source, paths=(str(path),), rate=rate)
    found = SOUND_SOURCES.get(source)(asked, say)
    named = settings is not None and settings.source == SOUNDS
    if path.is_file() and RULE.fullmatch(path.name) and not named:
        return [replace(one, text=None) for one in found]
    return found


def source_of(path: Path, own: str | None) -> str:
    """Which source reads what a path names. own: that of the model's run, which reads files as the run read its own;
    None, or one that makes sounds on the spot: spoken digits where all names say so, else sounds. An archive is of
    spoken digits alone, and a sound, or a folder that holds none of them, never is."""
    if path.name.endswith(ARCHIVES):
        return DIGITS
    if own not in (None, DIGITS, MADE):
        return own
    names = [one.name for one in files_below(path, (".wav",))] if path.is_dir() else []
    are = [RULE.fullmatch(name) is not None for name in names]
    digits = any(are) if own == DIGITS else bool(are) and all(are)
    return DIGITS if digits else SOUNDS


def _own(own: Own, rate: int, say: Say) -> tuple[list[Recording], bool]:
    """Those of one of a run's paths that are asked, see `of_part`."""
    settings: SpeechSettings = own.settings
    read = SOUND_SOURCES.get(settings.source)
    parts = [read(replace(settings, paths=(path,), rate=rate), say) for path in settings.paths]
    found = [one for part in parts for one in part]
    sides = [one.side for one in found]
    held = own.still(held_of(found, settings), [one.name for one in found], sides)
    return of_part(held, sides, parts, own.number, "sounds", say)


def _check_said(given: list[Recording]) -> None:
    """ValueError where nothing says what is said in some."""
    if unsaid := [one.name for one in given if not one.text]:
        raise ValueError(
            f"nothing says what is said in {len(unsaid):,} of {len(given):,} sounds, {unsaid[0]} say: name them in a "
            "table of files and transcripts, or call each by what is said in it"
        )


def _scored(given: list[Recording], settings: SpeechSettings, say: Say) -> list[Recording]:
    """Those that are scored of sounds that are not the run's own: of the speaker that it held out, where they speak;
    else see `untrained`."""
    if settings.held_out_speaker and settings.held_out_speaker in {one.speaker for one in given}:
        numbers, _ = kept_back(held_of(given, settings), "sounds", say)
        return [given[at] for at in numbers]
    return [given[at] for at in untrained([one.side for one in given], say)]
