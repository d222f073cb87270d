"""One decoder for many tasks, each of which asks it with queries of its own, about a text, an image or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn

from weft.nn import Auxiliary, Encoder, LayerNorm, Layout, Linear, Memory, Stack
from weft.nn.branch import join
from weft.nn.context import Context
from weft.nn.dropout import Dropout
from weft.nn.embed import Types
from weft.nn.model import check_length

KINDS: Mapping[str, tuple[str, ...]] = {"text": ("text",), "image": ("image",), "both": ("image", "text")}


@dataclass(frozen=True)
class Task:
    """reads: what is asked about. queries: how many vectors ask. classes: what the first query's state is one of, or,
    where there are `boxes`, each query's, with one more for nothing. words: all of a text's states are looked at; else
    the first alone. names: what the classes are called, by number, where somebody said it."""

    name: str
    reads: Literal["text", "image", "both"] = "both"
    classes: int = 2
    queries: int = 1
    boxes: bool = False
    words: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or min(self.classes, self.queries) < 1:
            raise ValueError(
                f"a task {self.name!r} of {self.classes} classes and {self.queries} queries: it has a word for a name, "
                "and at least one of each"
            )
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"the task {self.name!r} has {self.classes} classes and {len(self.names)} names of them")


class ClassHead(nn.Module):
    """out(norm(gelu(dense(drop(x))))). x [.., D] -> [.., C]."""

    def __init__(self, width: int, classes: int, *, eps: float, dropout: float) -> None:
        super().__init__()
        self.drop, self.dense = Dropout(dropout), Linear(width, width)
        self.norm, self.out = LayerNorm(width, eps=eps), Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(nn.functional.gelu(self.dense(self.drop(x)))))  # [.., C]


class BoxHead(nn.Module):
    """A box in shares of the image's sides, (centre across, centre down, width, height): the sigmoid of a perceptron
    with two hidden layers (Carion et al. 2020, §3.2). x [.., D] -> [.., 4]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.out = Linear(width, width), Linear(width, width), Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.second(self.first(x).relu()).relu()).sigmoid()  # [.., 4]


class Asking(nn.Module):
    """What a task has of its own: queries, a vector that each encoder reads before a row, and heads.

    width: the decoder's; widths: of each encoder.
    """

    def __init__(self, task: Task, width: int, widths: Mapping[str, int], *, eps: float, dropout: float) -> None:
        super().__init__()
        self.task, self.kinds = task, KINDS[task.reads]
        self.queries = Types(task.queries, width)
        self.first = nn.ModuleDict({kind: Types(1, widths[kind]) for kind in self.kinds})
        plain = Linear(width, task.classes + 1) if task.boxes else None
        self.classes = plain or ClassHead(width, task.classes, eps=eps, dropout=dropout)
        self.boxes = BoxHead(width) if task.boxes else None


class Unified(nn.Module):
    """Encoders of texts and of images, what brings their states to one width, and a decoder that looks at them.

    decoder: its field "memory" sees all states of a row, an image's before its text's. ValueError for two tasks of one
    name, and none.
    """

    def __init__(self, text: Encoder, image: Encoder, lifts: Mapping[str, nn.Module], decoder: Stack,
                 tasks: Sequence[Asking]) -> None:  # fmt: skip
        super().__init__()
        self.text, self.image, self.lifts = text, image, nn.ModuleDict(lifts)
        self.decoder, self.tasks = decoder, nn.ModuleDict({own.task.name: own for own in tasks})
        if not tasks or len(self.tasks) < len(tasks):
            raise ValueError(f"{len(tasks)} tasks with {len(self.tasks)} names: name at least one, each by its own")

    @property
    def context(self) -> int | None:
        """The longest text that can be placed; None: any."""
        return self.text.context

    @property
    def source_context(self) -> int | None:
        """The most places an image can have; None: any."""
        return self.image.context

    def forward(
        self, source: Tensor | None, tokens: Tensor | None, source_here: Layout | None = None,
        here: Layout | None = None, *, task: str,
    ) -> tuple[Tensor, Auxiliary]:  # fmt: skip
        """source: images as vectors [B, S, C]; tokens: texts, int64 [B, T], padded on the right; None for what the task
        does not read -> the states of the task's queries, [B, Q, D], and auxiliary terms. ValueError for a task that is
        none, and where it is given more or less than it reads."""
        own, given = self._own(task), {"image": (source, source_here), "text": (tokens, here)}
        there = tuple(kind for kind, (rows, _) in given.items() if rows is not None)
        if there != own.kinds:
            raise ValueError(
                f"{task!r} reads {' and '.join(own.kinds)}, and is given {' and '.join(there) or 'nothing'}"
            )
        sides, layouts, terms = zip(*(self._encode(kind, own, *given[kind]) for kind in own.kinds), strict=True)
        states = torch.cat(sides, dim=1)  # [B, S, D]
        x = own.queries.weight.to(states.dtype).expand(len(states), -1, -1)  # [B, Q, D]
        x, auxiliary = self.decoder(x, Context(Layout(), Memory(states, _joined(layouts, sides))))
        return x, reduce(join, terms, auxiliary)

    def logits(self, x: Tensor, task: str) -> Tensor:
        """The states of a task's queries [B, Q, D] -> scores of its classes: a row's [B, C], or, of a task with boxes,
        each query's [B, Q, C + 1], the last one for nothing."""
        own = self._own(task)
        return own.classes(x if own.task.boxes else x[:, 0])

    def boxes(self, x: Tensor, task: str) -> Tensor:
        """The states of a task's queries [B, Q, D] -> boxes [B, Q, 4], see `BoxHead`. ValueError for a task without."""
        own = self._own(task)
        if own.boxes is None:
            raise ValueError(f"the task {task!r} has no boxes: ask for its logits")
        return own.boxes(x)

    def task(self, name: str) -> Task:
        """What a task is. ValueError where none is called so."""
        return self._own(name).task

    def _own(self, task: str) -> Asking:
        if task not in self.tasks:
            raise ValueError(f"no task is called {task!r}; there are {', '.join(self.tasks)}")
        own = self.tasks[task]
        assert isinstance(own, Asking)
        return own

    def _encode(
        self, kind: str, own: Asking, tokens: Tensor | None, here: Layout | None
    ) -> tuple[Tensor, Layout, Auxiliary]:
        """The states of one side [B, S, D], as wide as the decoder, where they sit, and auxiliary terms."""
        assert tokens is not None
        encoder = self.text if kind == "text" else self.image
        check_length(encoder.context, tokens.shape[1])
        x, here = encoder.embed.read(tokens, here or Layout())  # [B, S, De]
        vector = own.first[kind]
        assert isinstance(vector, Types)
        first = vector.weight.to(x.dtype).expand(len(x), -1, -1)  # [B, 1, De]
        x, auxiliary = encoder.stack(torch.cat((first, x), dim=1), Context(here.after(1)))
        x = x[:, 1:]
        if kind == "text" and not own.task.words:
            x, here = x[:, :1], Layout()
        return self.lifts[kind](x), here, auxiliary


def _joined(layouts: Sequence[Layout], states: Sequence[Tensor]) -> Layout:
    """Where several memories sit once they are one: padding of each stays padding."""
    if all(here.segments is None for here in layouts):
        return Layout()
    parts = [
        torch.ones(x.shape[:2], dtype=torch.int64, device=x.device) if here.segments is None else here.segments
        for here, x in zip(layouts, states, strict=True)
    ]
    return Layout(segments=(torch.cat(parts, dim=1) > 0).long())
