"""How likely a model finds texts after a prompt: the texts as ids, and what is asked of its module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from weft.batch import Tokenizer
from weft.data import as_prompt, as_source, encode_many
from weft.data.tokenizers import target_side
from weft.evaluate.continuations import TOKENS, Ask, Continued, common, continued
from weft.hub.model import Model
from weft.nn import EncoderDecoder

Lost = Callable[["Asked"], None]  # hears of each whose prompt lost its beginning


class Asked(NamedTuple):
    """A prompt, texts that may follow it, and what it is called in errors."""

    prompt: str
    continuations: Sequence[str]
    name: object


def continuations(
    model: Model,
    asked: Sequence[Asked],
    *,
    cut: bool = False,
    tokens: int = TOKENS,
    advance: Callable[[int], None] = lambda more: None,
    lost: Lost = lambda asked: None,
) -> list[list[Continued]]:
    """-log p(continuation | prompt), of each continuation of each prompt.

        continuations(model, [Asked("Two and two is", (" four", " five"), "sum")])[0][0].nats

    Of a decoder, prompt and continuation are made into ids together, as one text is (see `parted`), behind what begins
    a document; of an encoder–decoder, the prompt is a source and the continuation a target, without its end.

    cut: a row longer than the context loses the beginning of its prompt, and `lost` hears of it; else it is an error
    that names it. tokens, advance: see `continued`.

    ValueError for a model that has no tokenizer or writes nothing, an empty continuation, a continuation that has no
    room in the context at all.
    """
    context = model.config.context
    if isinstance(model.module, EncoderDecoder):
        begins = model.begins
        asks = [_pair(model, begins, one, cut=cut, lost=lost) for one in asked]
        return continued(model.module, asks, context=context, start=begins, tokens=tokens, advance=advance)
    asks = [_row(model, one, cut=cut, lost=lost) for one in asked]
    return continued(model.module, asks, context=context, tokens=tokens, advance=advance)


def parted(tokenizer: Tokenizer, prompt: str, continuations: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """The ids of a prompt, and of each continuation, of texts that are made into ids whole.

    A tokenizer may join the end of a prompt and the beginning of a continuation in one token (the space before a word,
    above all): that token is the continuation's. What is the prompt's is what its ids and those of all the wholes begin
    with, so that all continuations are told from the same ids, and two of them compare as the whole texts do.
    """
    own, *wholes = (ids.tolist() for ids in encode_many(tokenizer, [prompt, *(prompt + one for one in continuations)]))
    shared = common([own, *wholes])
    return own[:shared], [whole[shared:] for whole in wholes]


def framed(
    model: Model, ids: list[int], room: int, asked: Asked, *, cut: bool, lost: Lost = lambda asked: None
) -> list[int]:
    """A prompt's ids with what stands around them, in at most `room` tokens; where it may be cut, it loses its
    beginning, and `lost` hears of it. ValueError where it may not, or where nothing has room."""
    tokenizer = model.need_tokenizer()
    frame = as_source if isinstance(model.module, EncoderDecoder) else as_prompt
    whole = frame(tokenizer, ids)
    if len(whole) <= room:
        return whole
    if not cut:
        raise ValueError(
            f"{asked.name}: the prompt has {len(whole)} tokens, and {max(room, 0)} have room in the context of "
            f"{model.config.context} beside what follows: ask for fewer shots, shorten the template, or let prompts "
            "lose their beginning (cut=True, --cut)"
        )
    kept = room - (len(whole) - len(ids))
    if kept < 1:
        raise ValueError(
            f"{asked.name}: what follows the prompt leaves no room for it in the context of {model.config.context} "
            "tokens: shorten it"
        )
    lost(asked)
    return frame(tokenizer, ids[-kept:])


def _row(model: Model, asked: Asked, *, cut: bool, lost: Lost) -> Ask:
    """A row ends before its continuation's last token, which is not read."""
    prompt, following = parted(model.need_tokenizer(), asked.prompt, asked.continuations)
    _check(following, asked)
    room = model.config.context - (max(map(len, following)) - 1)
    return Ask(framed(model, prompt, room, asked, cut=cut, lost=lost), following)


def _pair(model: Model, begins: Sequence[int], asked: Asked, *, cut: bool, lost: Lost) -> Ask:
    tokenizer, context = model.need_tokenizer(), model.config.context
    following = [ids.tolist() for ids in encode_many(target_side(tokenizer), asked.continuations)]
    _check(following, asked)
    longest = len(begins) + max(map(len, following)) - 1
    if longest > context:
        raise ValueError(f"{asked.name}: a continuation takes {longest} tokens, the context is {context}: shorten it")
    return Ask(framed(model, tokenizer.encode(asked.prompt), context, asked, cut=cut, lost=lost), following)


def _check(following: Sequence[Any], asked: Asked) -> None:
    for ids, text in zip(following, asked.continuations, strict=True):
        if not ids:
            raise ValueError(
                f"{asked.name}: {text!r} after the prompt has no tokens of its own: there is nothing to score"
            )
