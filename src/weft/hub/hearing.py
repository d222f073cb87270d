"""What a model hears in rows of sounds: labels that its places say, a text that it writes, or one of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from weft.data.signals import LogMel, Waveform
from weft.data.tokenizers import PieceTable, Speech
from weft.generate import GREEDY, generate
from weft.generate.cached import evaluating, padded
from weft.generate.ctc import say
from weft.hub.model import Model
from weft.nn import Encoder, EncoderDecoder

CTC, CLASSES = "ctc", "classes"  # heads
ROWS = 32  # of a pass


def speech_of(model: Model) -> Speech | None:
    """The ids by which a published model of speech is told what to write; None where its tokenizer has none."""
    if not isinstance(model.tokenizer, PieceTable):
        return None
    try:
        return Speech.of(model.tokenizer)
    except ValueError:
        return None


def begins_of(model: Model, language: str | None = None, *, translate: bool = False) -> list[int]:
    """What a target begins with, without times: of a model of speech in several languages, English unless another is
    asked for. ValueError for a language that it does not know, or that is asked of a model of one."""
    tokenizer, speech = model.need_tokenizer(), speech_of(model)
    if speech is None or not speech.languages:
        if language is not None or translate:
            raise ValueError("this model writes one language, and is not told which: leave --language, --translate out")
        return list(model.stops.begins(tokenizer.end)) if speech is None else speech.begins()
    return speech.begins(
        language or ("en" if "en" in speech.languages else next(iter(speech.languages))), translate=translate
    )


def check_hears(model: Model) -> None:
    """ValueError for a model that hears nothing that could be written down."""
    module = model.module
    heads = list(module.heads) if isinstance(module, Encoder) else []
    if isinstance(module, EncoderDecoder) and not module.embed.vocab:
        return
    if isinstance(module, Encoder) and not module.embed.vocab and (CTC in heads or CLASSES in heads):
        return
    raise ValueError(
        f"a model of family {model.blueprint.family!r} writes down no sounds: name one that was trained on sounds with "
        "transcripts"
    )


def row_of(model: Model, name: str, samples: np.ndarray) -> Tensor:
    """A sound fp32 [samples], at the rate of the model's processor, as a row [T, C] that the model can read.

    ValueError, with its name, for one that is too short or too long, and where the model does not say how it hears.
    """
    processor = processor_of(model)
    try:
        row = processor(samples)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    module = model.module
    assert isinstance(module, Encoder | EncoderDecoder)
    embed, seconds = module.embed, len(samples) / processor.rate
    if embed.extent(len(row)) < 1:
        raise ValueError(f"{name} lasts {seconds:g} seconds, which is too short for this model to hear anything")
    if embed.context is not None and len(row) > embed.context:
        raise ValueError(
            f"{name} lasts {seconds:g} seconds, and this model hears at most "
            f"{seconds * embed.context / len(row):.3g} at once: write it down in pieces (weft transcribe)"
        )
    return row


def processor_of(model: Model) -> LogMel | Waveform:
    """How a model hears. ValueError where it does not say it."""
    processor = None if model.reads is None else model.reads.processor
    if not isinstance(processor, LogMel | Waveform):
        raise ValueError(
            "this model does not say how it hears sounds (processor.json, preprocessor_config.json): name one that was "
            "trained on some"
        )
    return processor


@torch.inference_mode()
def heard(
    model: Model, rows: Sequence[Tensor], *, batch: int = ROWS, advance: Callable[[int], None] = lambda more: None
) -> list[str]:
    """The text of each row fp32 [T, C], as the model's processor makes them, in their order: its labels by the
    likeliest way through its places, what is written by taking the likeliest token each time, or the likeliest class. A
    row's text does not depend on its companions. ValueError for a model that hears nothing."""
    check_hears(model)
    found, order = [""] * len(rows), sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        for place, text in zip(some, _texts(model, [rows[place] for place in some]), strict=True):
            found[place] = text
        advance(len(some))
    return found


def _texts(model: Model, rows: list[Tensor]) -> list[str]:
    module = model.module
    if isinstance(module, EncoderDecoder):
        tokenizer, begins = model.need_tokenizer(), begins_of(model)
        stop = model.stops.ends or (tokenizer.end,)
        written = generate(
            module, rows, new=model.config.context, sampling=GREEDY, stop=stop, start=begins,
            context=model.config.context,
        )  # fmt: skip
        return [text_of(model, row.ids) for row in written]
    assert isinstance(module, Encoder)
    if CTC in module.heads:
        return [text_of(model, row) for row in say(module, rows)]
    tokens, here = padded(
        [row.to(next(module.parameters())) for row in rows], "right", next(module.parameters()).device
    )
    with evaluating(list(module.modules())):
        scores = module.logits(module(tokens, here)[0], CLASSES)  # [B, classes]
    assert model.reads is not None, "its processor made the rows"
    classes = model.reads.classes
    return [classes[number] if number < len(classes) else str(number) for number in scores.argmax(dim=-1).tolist()]


def text_of(model: Model, ids: Sequence[int]) -> str:
    """The text of ids; those that the tokenizer lacks have none."""
    tokenizer = model.need_tokenizer()
    return tokenizer.decode([number for number in ids if number < tokenizer.vocab]).strip()
