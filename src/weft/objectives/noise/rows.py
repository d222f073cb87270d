"""The objectives that T5's authors compare (Raffel et al. 2020, Table 3): a text becomes inputs and targets.

Of "Thank you for inviting me to your party last week .", <M> the mask, <X> <Y> <Z> sentinels:

| row | inputs | targets |
|---|---|---|
| PrefixLanguageModel | Thank you for inviting | me to your party last week . |
| BertStyle | Thank you <M> <M> me to your party apple week . | the text |
| Deshuffling | party me for your to . last you inviting week Thank | the text |
| MassStyle | Thank you <M> <M> me to your party <M> week . | the text |
| ReplaceSpans | Thank you <X> me to your party <Y> week . | <X> for inviting <Y> last <Z> |
| DropTokens | Thank you me to your party week . | for inviting last |
| RandomSpans | Thank you <X> to <Y> week . | <X> for inviting me <Y> your party last <Z> |

(Their row of deshuffling has a "fun" more, which is not in the text.) What ends a text is not among the ids: whoever
makes rows of inputs and targets puts it there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Generator, Tensor

from weft.objectives.noise.marks import Marks
from weft.objectives.noise.masking import Changes, Replacement
from weft.objectives.noise.spans import check_mean, check_share, choose, firsts, segments

ChoiceT = TypeVar("ChoiceT")


class Row(ABC, Generic[ChoiceT]):
    """A row of the table: what is drawn, and what that makes of a text."""

    @abstractmethod
    def choice(self, n: int, draw: Generator, marks: Marks) -> ChoiceT:
        """What is drawn for a text of n tokens."""

    @abstractmethod
    def given(self, ids: Tensor, choice: ChoiceT, marks: Marks) -> tuple[Tensor, Tensor]:
        """Inputs and targets, int64 [inputs] and [targets], of ids [n] and what was drawn; nothing is drawn here."""

    def apply(self, ids: Tensor, draw: Generator, marks: Marks) -> tuple[Tensor, Tensor]:
        """Inputs and targets, int64 [inputs] and [targets], of ids [n]."""
        return self.given(ids, self.choice(len(ids), draw, marks), marks)


@dataclass(frozen=True)
class PrefixLanguageModel(Row[int]):
    """The text is split in two (§3.2.3): the beginning is read, the rest is the target.

    The beginning has 1 to n - 1 tokens, each number equally likely; of a single token it has none.
    """

    def choice(self, n: int, draw: Generator, marks: Marks) -> int:
        """How many tokens are read."""
        return int(torch.randint(1, n, (), generator=draw)) if n > 1 else 0

    def given(self, ids: Tensor, choice: int, marks: Marks) -> tuple[Tensor, Tensor]:
        """The beginning, and the rest."""
        return ids[:choice], ids[choice:]


@dataclass(frozen=True)
class BertStyle(Row[Changes]):
    """Some tokens are hidden or replaced by random ones; the target is the whole text (§3.3.1).

    Of a share of the tokens, exactly, 90 % become the mask and 10 % any token; Devlin et al. keep 10 % as they are
    (hidden=0.8). The authors' code draws for each token by itself whether it is among them.
    """

    share: float = 0.15
    hidden: float = 0.9
    random: float = 0.1

    def __post_init__(self) -> None:
        check_share(self.share)
        Replacement(self.hidden, self.random)

    def choice(self, n: int, draw: Generator, marks: Marks) -> Changes:
        """What becomes of each token."""
        chosen = choose(n, self.share, draw)
        each = torch.arange(int(chosen.sum()))
        return Replacement(self.hidden, self.random).drawn(each, marks.vocab, draw).among(chosen)

    def given(self, ids: Tensor, choice: Changes, marks: Marks) -> tuple[Tensor, Tensor]:
        """The text with these changes, and as it was."""
        return choice.apply(ids, marks.mask), ids


@dataclass(frozen=True)
class Deshuffling(Row[Tensor]):
    """The tokens are shuffled, every order equally likely; the target is the text (§3.3.1; Liu et al. 2019)."""

    def choice(self, n: int, draw: Generator, marks: Marks) -> Tensor:
        """Which token stands at each place, int64 [n]."""
        return torch.randperm(n, generator=draw)

    def given(self, ids: Tensor, choice: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
        """The text in this order, and in its own."""
        return ids[choice], ids


@dataclass(frozen=True)
class _Hidden(Row[Tensor]):
    """A share of the tokens is hidden, exactly, every set of them equally likely. (The authors' code draws for each
    token by itself.)"""

    share: float = 0.15

    def __post_init__(self) -> None:
        check_share(self.share)

    def choice(self, n: int, draw: Generator, marks: Marks) -> Tensor:
        """Which tokens are hidden, bool [n]."""
        return choose(n, self.share, draw)


@dataclass(frozen=True)
class MassStyle(_Hidden):
    """Each hidden token becomes the mask; the target is the whole text (§3.3.2, after Song et al. 2019)."""

    def given(self, ids: Tensor, choice: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
        """The text with masks, and without."""
        return ids.masked_fill(choice, marks.mask), ids


@dataclass(frozen=True)
class ReplaceSpans(_Hidden):
    """Each run of hidden tokens becomes one sentinel; the target is what they stand for (§3.3.2), see `sentinelled`."""

    def given(self, ids: Tensor, choice: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
        """See `sentinelled`."""
        return sentinelled(ids, choice, marks)


@dataclass(frozen=True)
class DropTokens(_Hidden):
    """Hidden tokens are left out; the target is those tokens, one after the other (§3.3.2)."""

    def given(self, ids: Tensor, choice: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
        """What stays, and what does not."""
        return ids[~choice], ids[choice]


@dataclass(frozen=True)
class RandomSpans(Row[Tensor]):
    """Spans of `mean` tokens on average become sentinels (§3.3.4), see `segments` and `sentinelled`."""

    share: float = 0.15
    mean: float = 3.0

    def __post_init__(self) -> None:
        check_share(self.share)
        check_mean(self.mean)

    def choice(self, n: int, draw: Generator, marks: Marks) -> Tensor:
        """Which tokens are hidden, bool [n]."""
        return segments(n, self.share, self.mean, draw)

    def given(self, ids: Tensor, choice: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
        """See `sentinelled`."""
        return sentinelled(ids, choice, marks)


def sentinelled(ids: Tensor, hidden: Tensor, marks: Marks) -> tuple[Tensor, Tensor]:
    """The text with a sentinel in place of each run of hidden tokens; and each sentinel followed by what it stands for,
    with one more sentinel behind the last.

    ids int64 [n], hidden bool [n]. ValueError where there are too few sentinels. As in the paper: the authors' code
    makes the targets by hiding what is not hidden, so that a text that begins with a hidden token has its sentinels
    shifted by one, and one that ends with a hidden token has no sentinel behind the last.
    """
    first = firsts(hidden)
    sentinels = marks.around(int(first.sum()))
    both = torch.stack(
        (sentinels[first.cumsum(0) - 1], ids), 1
    )  # [n, 2]: the sentinel of a run stands before its first
    inputs, targets = (both[torch.stack((first, kept), 1)] for kept in (~hidden, hidden))
    return inputs, torch.cat((targets, sentinels[-1:]))
