"""Held-out likelihood of a loaded model on files, and what several models make of one text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from weft.data import COLUMN, Blocks, DataSettings, Pairs, RowKind, encode_many, open_pairs, open_source, rows
from weft.data.progress import counted
from weft.data.sources import Say, quiet
from weft.evaluate import Likelihood, count_words, counted_bytes, likelihood, no_bytes
from weft.generate.cached import evaluating
from weft.hub.hidden import Hiding
from weft.hub.model import Model
from weft.hub.pseudo import pseudo_nats
from weft.models import FAMILIES
from weft.nn import Decoder, Encoder, EncoderDecoder
from weft.objectives import OBJECTIVES, Objective

BATCH = 8192  # tokens of a pass
PSEUDO = (
    "pseudo-log-likelihood: each token is told from all others, before and behind it (Salazar et al. 2020), which is "
    "no likelihood of the text; compare it among masked models of one tokenizer alone"
)


def score(
    model: Model,
    paths: tuple[str, ...],
    *,
    how: RowKind = "stream",
    column: str = COLUMN,
    batch: int = 16,
    objective: Objective | None = None,
    stride: int | None = None,
    say: Say = quiet,
) -> Likelihood:
    """-log p of texts (or, for an encoder–decoder, pairs) in rows of the model's context, in evaluation mode.

    how:    how texts become rows, as data.rows in training; pairs always have a row each, and refuse another.
    column: which holds the text, in files of records; pairs refuse one.
    batch:  rows at once; changes nothing but the time and memory it takes.
    objective: whose term "loss" it is; None: what the model's family is pretrained with.
    stride: rows begin so many tokens after one another, and every token is predicted once, from at least context -
            stride + 1 tokens before it where its text has as many (`Blocks`); None: rows do not overlap.
    say:    hears of pairs that are longer than the context and left out, of rows without text, and why there are no
            bits per byte where the tokenizer is lossy, or the model is asked for some of the tokens only; and of the
            progress.

    ValueError where the data are missing, empty or undecodable, the model has no tokenizer, its family cannot pack,
    or rows cannot overlap: those of pairs, of whole documents, and of objectives that ask for a part of them.
    """
    tokenizer, context, family = model.need_tokenizer(), model.config.context, FAMILIES.get(model.blueprint.family)
    if not all(paths):
        raise ValueError("one of the paths is empty (''): name a file, folder or pattern; . is this folder")
    objective = objective or OBJECTIVES.get(family.objective)(**family.terms(model.config))
    check_heads(model, objective)
    if stride is not None and (objective.pairs or not objective.likelihood):
        what = "has a row for each pair" if objective.pairs else "asks for a part of each row, with the rest in sight"
        raise ValueError(f"stride = {stride} makes rows overlap, and {objective.title} {what}: leave it out")
    if stride is not None:
        _check_stride(stride, context)
    if objective.pairs:
        dataset, texts, size = _pairs(model, DataSettings("pairs", paths, column=column, rows=how), say)
    elif how != "stream" and (mixes := model.blueprint.mixes):
        raise ValueError(f"{mixes} cannot keep the documents of a row apart: score them as a stream")
    else:
        documents = list(open_source("text", paths, column=column, say=say).documents())
        dataset, size = rows(documents, tokenizer, objective.length(model.module, context), how, stride=stride)
        texts = [document.text for document in documents]
    if (needed := objective.ids(tokenizer)) > model.config.vocab:
        raise ValueError(f"{objective.title!r} needs {needed} ids, and the model has {model.config.vocab}: no [MASK]?")
    if why := no_bytes(tokenizer, objective):
        say(why)
    spelt = counted_bytes(tokenizer, size, objective)
    dataset = objective.turn(dataset, tokenizer, 0)
    advance = counted(say, "rows", len(dataset))
    with evaluating(list(model.module.modules())):
        found = likelihood(model.module, dataset, objective, bytes=spelt, rows=batch, advance=advance)
    return found if spelt is None else replace(found, words=sum(map(count_words, texts)))


def _pairs(model: Model, settings: DataSettings, say: Say) -> tuple[Pairs, list[str], int]:
    """The pairs that fit into the context, their targets, and the bytes of these."""
    context = model.config.context
    dataset = Pairs(open_pairs(settings), model.need_tokenizer(), context, begins=model.begins)
    if dataset.dropped:
        say(f"{dataset.dropped:,} pairs are longer than the context of {context} tokens and were left out")
    texts = [target for _, target in dataset.pairs]
    return dataset, texts, sum(len(text.encode()) for text in texts)


@dataclass(frozen=True)
class TextScore:
    """What a model makes of one text.

    likelihood: -log p of its tokens; where `pseudo`, -log p of each with all others in sight, see `pseudo_nats`.
    context, stride: of the windows that it was read in; `score_text` says what they mean.
    why: why there are no bits per byte; "" where there are.
    """

    likelihood: Likelihood
    pseudo: bool
    context: int
    stride: int
    why: str

    @property
    def kind(self) -> str:
        """What the numbers are of."""
        return "pseudo-log-likelihood" if self.pseudo else "log-likelihood"

    def figures(self) -> dict[str, float]:
        """The numbers by name, those that there are; of a pseudo-log-likelihood under names that say so."""
        found = {"nats": self.likelihood.nats} | self.likelihood.figures() | self.likelihood.by_text()
        named = {f"pseudo_{name}" if self.pseudo and name != "tokens" else name: x for name, x in found.items()}
        return named | {"context": self.context, "stride": self.stride}


def score_text(model: Model, text: str, *, stride: int | None = None, say: Say = quiet) -> TextScore:
    """How likely a model finds a text.

        score_text(weft.load("runs/plays"), "To be, or not to be").likelihood.bits_per_byte

    Of a decoder: -log p(text), in nats, given what begins a document; what would end it is not asked for, as the text
    may be a part of one. A text longer than the context is read in windows that begin `stride` tokens after one
    another: every token is predicted once, from at least context - stride + 1 tokens before it, what begins a document
    among them, where there are as many.

    Of an encoder: the pseudo-log-likelihood (Salazar et al. 2020): each token hidden in turn, in the window in whose
    middle it stands; a pass for each token, and no bits per byte.

    stride: from 1 (the most in sight, and the most work) to the context (windows do not overlap); None: half of it.
    say: hears of the progress.

    ValueError for a text without tokens, an encoder–decoder, an encoder that is not asked for hidden tokens, and a
    decoder that looks ahead.
    """
    if isinstance(model.module, EncoderDecoder):
        raise ValueError(
            "an encoder–decoder writes a target to a source, and a text by itself has no source: score pairs, weft "
            "eval DIR --data sources.txt --data targets.txt"
        )
    tokenizer = model.need_tokenizer()
    ids = encode_many(tokenizer, [text])[0]
    if not len(ids):
        raise ValueError(f"the text, {len(text)} characters, has no tokens: there is nothing to score")
    if isinstance(model.module, Encoder):
        return _pseudo(model, ids.tolist(), stride, say)
    assert isinstance(model.module, Decoder)
    model.module.writing.check_causal()
    context, family = model.config.context, FAMILIES.get(model.blueprint.family)
    stride = max(1, context // 2) if stride is None else stride
    _check_stride(stride, context)
    tokens, width = np.concatenate([[tokenizer.begin], ids]), min(context, len(ids))  # [N+1]
    windows = Blocks(tokens, width, shift=False, stride=min(stride, width))
    objective = OBJECTIVES.get(family.objective)(**family.terms(model.config))
    spelt, advance = counted_bytes(tokenizer, len(text.encode())), counted(say, "windows", len(windows))
    with evaluating(list(model.module.modules())):
        found = likelihood(model.module, windows, objective, bytes=spelt, rows=max(1, BATCH // width), advance=advance)
    found = found if spelt is None else replace(found, words=count_words(text))
    return TextScore(found, False, context, stride, no_bytes(tokenizer))


def _pseudo(model: Model, ids: list[int], stride: int | None, say: Say) -> TextScore:
    hiding = Hiding.of(model)
    stride = max(1, hiding.room // 2) if stride is None else stride
    width = min(hiding.room, len(ids))
    advance = counted(say, "tokens", len(ids))
    nats = pseudo_nats(hiding, ids, stride=stride, batch=max(1, BATCH // width), advance=advance)
    return TextScore(Likelihood(nats, len(ids), None), True, model.config.context, stride, PSEUDO)


def _check_stride(stride: int, context: int) -> None:
    if not 1 <= stride <= context:
        raise ValueError(f"stride = {stride}, but it is from 1 to {context}, the model's context")


def check_heads(model: Model, objective: Objective) -> None:
    """ValueError for an objective that this model cannot be asked, or that needs more than what is saved of it."""
    objective.check(model.module)
    missing = [head for head in objective.heads if isinstance(model.module, Encoder) and head not in model.module.heads]
    if missing or not objective.alone:
        what = f"a head {missing[0]!r}" if missing else "another model"
        raise ValueError(
            f"{objective.title} was asked of {what} beside this one, which its folder does not hold: the run's own "
            "figures are in its report.json"
        )
