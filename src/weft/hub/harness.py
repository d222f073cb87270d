"""weft's models for lm-evaluation-harness, in the same process. An extra: pip install 'weft[harness]'.

import lm_eval
from lm_eval.tasks import TaskManager
from weft.hub.harness import HarnessModel

tasks = TaskManager(include_path="tasks/")
lm_eval.simple_evaluate(HarnessModel(weft.load("runs/notes")), tasks=["mine"], task_manager=tasks)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from weft.evaluate.continuations import TOKENS, Ask, continued
from weft.generate import GREEDY, Sampling
from weft.hub.continuing import Asked, continuations, framed
from weft.hub.model import Model
from weft.nn import Decoder, EncoderDecoder

try:
    from lm_eval import utils
    from lm_eval.api.model import LM
except ImportError as error:
    raise ValueError("lm-evaluation-harness is not installed (lm_eval): pip install 'weft[harness]'") from error

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

USUAL = 256  # tokens that are written, as the harness's own models have it
_NEW = ("max_gen_toks", "max_new_tokens", "max_tokens")  # the harness's words for one thing
_UNDERSTOOD = {"until", *_NEW, "do_sample", "temperature", "top_k", "top_p"}


class HarnessModel(LM):
    """A decoder, or an encoder–decoder, that answers what the harness asks of a model.

    cut: as the harness's own models, prompts that are longer than the context lose their beginning; False: one is an
    error. tokens: of a pass at the most. new: tokens that are written where a task does not say how many; None: 256 and
    no more than half of the context, of which the prompt has the rest.

    Prompts begin as those of weft do, with what begins a document. Of ids, see `loglikelihood`. Chat templates are not
    applied: a special token in a text would be text here.
    """

    def __init__(self, model: Model, *, cut: bool = True, tokens: int = TOKENS, new: int | None = None) -> None:
        if not isinstance(model.module, Decoder | EncoderDecoder):
            raise ValueError(
                f"the harness asks how likely a continuation is, and {type(model.module).__name__} reads whole rows: "
                "give it a decoder or an encoder–decoder"
            )
        super().__init__()
        self.model, self.cut, self.tokens = model, cut, tokens
        self.new = min(USUAL, model.config.context // 2) if new is None else new
        self.tokenizer = model.need_tokenizer()

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """log p(continuation | context) of each pair, and whether the likeliest tokens spell it.

        Spaces at a context's end are the continuation's, as the harness has it; both are made into ids together (see
        `parted`; the harness counts ids, and so leaves out the beginning of a continuation that is joined to its
        context in one token). Continuations of one context share its pass.
        """
        asked = [
            Asked(context.rstrip(), (_moved(context) + continuation,), f"request {number}")
            for number, (context, continuation) in enumerate(map(_args, requests))
        ]
        scored = continuations(self.model, asked, cut=self.cut, tokens=self.tokens)
        found = [(-one.nats, one.greedy) for (one,) in scored]
        for request, value in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, value)
        return found

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """log p of each text, each token told once, in the harness's windows: those that follow the first go back as
        far as the context reaches. ValueError for an encoder–decoder, as a text by itself has no source."""
        if isinstance(self.model.module, EncoderDecoder):
            raise ValueError("a text by itself has no source: an encoder–decoder has no likelihood of it")
        asks, owners, context = list[Ask](), list[int](), self.model.config.context
        for number, request in enumerate(requests):
            ids = self.tokenizer.encode(request.args[0])
            windows = utils.get_rolling_token_windows(ids, self.tokenizer.begin, context, 1)
            for before, following in map(utils.make_disjoint_window, windows):
                asks.append(Ask(before, [following]))
                owners.append(number)
        found = [0.0] * len(requests)
        for number, (one,) in zip(
            owners, continued(self.model.module, asks, context=context, tokens=self.tokens), strict=True
        ):
            found[number] -= one.nats
        for request, value in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, value)
        return found

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What is written after each context, up to the first of the texts `until`; the likeliest token each time, but
        where do_sample or a temperature says otherwise. ValueError for settings that are not understood."""
        alike: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            alike.setdefault(repr(sorted(_args(request)[1].items())), []).append(number)
        found = [""] * len(requests)
        for numbers in alike.values():
            settings = _args(requests[numbers[0]])[1]
            new = next((settings[name] for name in _NEW if settings.get(name)), self.new)
            ends = settings.get("until") or []
            prompts = [self._prompt(_args(requests[number])[0], new, number) for number in numbers]
            texts = self.model.generate_until(
                prompts, [ends] if isinstance(ends, str) else list(ends), _sampling(settings), tokens=new
            )
            for number, text in zip(numbers, texts, strict=True):
                found[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return found

    def _prompt(self, context: str, new: int, number: int) -> list[int]:
        """Its ids, with room for what is written. ValueError where that leaves none for it."""
        most = self.model.config.context
        room = most - (0 if isinstance(self.model.module, EncoderDecoder) else new)
        if room < 1:
            raise ValueError(
                f"request {number}: {new} tokens are to be written and the context is {most}, which leaves none for "
                f"the prompt: set max_gen_toks in the task's generation_kwargs, or HarnessModel's new=, below {most}"
            )
        asked = Asked(context, (), f"request {number}")
        return framed(self.model, self.tokenizer.encode(context), room, asked, cut=self.cut)


def _args(request: Instance) -> tuple[Any, ...]:
    """What a request asks: of so many parts as the harness's types do not say."""
    return cast("tuple[Any, ...]", request.args)


def _moved(context: str) -> str:
    """The spaces at the end of a context."""
    return context[len(context.rstrip()) :]


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    if unknown := sorted(settings.keys() - _UNDERSTOOD):
        raise ValueError(
            f"the task's generation_kwargs have {', '.join(unknown)}, which weft does not do: understood are "
            f"{', '.join(sorted(_UNDERSTOOD))}"
        )
    temperature = settings.get("temperature", 1.0 if settings.get("do_sample") else 0.0)
    if not settings.get("do_sample", temperature > 0) or not temperature:
        return GREEDY
    return Sampling(temperature, settings.get("top_k") or 0, settings.get("top_p") or 1.0)
