"""What a model has to beat: an n-gram model and xz, as numbers with a stated definition.

Bits per byte is the common currency. It does not depend on the tokenizer, as long as that is lossless, so that a
transformer over subwords, an n-gram model over the same subwords and a byte-oriented compressor can stand in one table.
numpy and the standard library only.
"""

import lzma
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

FALLBACK = (0.5, 1.0, 1.5)  # discounts where the counts of counts cannot give any; KenLM's choice
UNSEEN = np.iinfo(np.int64).max  # behind every key


def bits_per_byte(nats: float, bytes: int) -> float:
    """`nats` of total (not mean) surprise, spread over `bytes` of UTF-8 text: nats / ln 2 / bytes.

    It means something only where the tokens predicted give the text back, byte for byte: a lossy tokenizer's do not.
    What is predicted but is not text (document separators) belongs in `nats` and adds nothing to `bytes`.
    """
    if bytes <= 0:
        raise ValueError(f"bits per byte need at least one byte of text, got bytes={bytes}")
    return nats / math.log(2) / bytes


def xz_bits_per_byte(data: bytes, *, given: bytes = b"") -> float:
    """Bits that `xz -9` (LZMA2, 64 MiB window, the container included) spends on each byte of `data`.

    With `given`, the further bits that `data` costs behind it: 8 · (|xz(given + data)| - |xz(given)|) / |data|. This is
    the fair comparison with a model that has read `given` as its training text; without it, xz starts from nothing.
    """
    if not data:
        raise ValueError("bits per byte need at least one byte of text, got none")
    known = _xz(given) if given else 0
    return 8 * (_xz(given + data) - known) / len(data)


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9))


def ngram_nats(train: Array, held_out: Array, vocab: int, order: int = 5) -> float:
    """Total nats with which an interpolated modified Kneser-Ney model of `train` predicts `held_out`.

    Both are [N] integer streams of ids in [0, vocab), documents following each other with a separator token between
    them. Each of held_out[1:] is predicted once, from the at most order - 1 tokens before it in `held_out`; the first
    token is context only. n-grams run across separators, in training and in scoring alike. See `NGram` for the model.
    """
    return float(-np.log(NGram.fit(train, vocab, order).probabilities(held_out)).sum())


@dataclass(frozen=True)
class Grams:
    """The k-grams of one order. A k-gram's id is its place in `keys`; the empty gram is 0, an unseen gram -1.

    Each array ends in the entry for -1, so that an unseen gram can be looked up like any other.
    """

    keys: Array  # int64 [grams + 1] sorted: (id of the first k - 1 tokens) * vocab + last token; last UNSEEN
    share: Array  # float64 [grams + 1] (c - D(c)) / (the sum of c over the gram's context); last 0
    rest: Array  # float64 [contexts + 1] the mass that a context, a (k - 1)-gram, leaves to the order below; last 1


@dataclass(frozen=True)
class NGram:
    """Interpolated modified Kneser-Ney (Chen & Goodman 1998), in sorted arrays.

        p_k(w | h) = (c(hw) - D_k(c(hw))) / Σ_v c(hv) + rest_k(h) · p_{k-1}(w | h without its first token)

    At the highest order c is how often a gram occurs; below it, the number of different tokens that precede the gram.
    Each order has three discounts, for counts of one, two, and three or more, estimated from its counts of counts.
    p_0 is uniform, so that every token has a probability above 0 and the probabilities of a context sum to 1. A context
    that was never continued in training passes its whole mass down.
    """

    vocab: int
    orders: tuple[Grams, ...]  # orders[k - 1] holds the k-grams

    @property
    def parameters(self) -> int:
        """A share for each gram that was seen, a rest for each context."""
        return sum(len(grams.share) + len(grams.rest) - 2 for grams in self.orders)

    @property
    def flops(self) -> int:
        """For each token that is predicted: a product and a sum in each order."""
        return 2 * len(self.orders)

    @classmethod
    def fit(
        cls, train: Array, vocab: int, order: int = 5, advance: Callable[[int], None] = lambda more: None
    ) -> "NGram":
        """Count `train` [N]. Takes the time of some 2 · order sorts; at order 5, 100 to 200 bytes a token. advance:
        hears how many orders more are counted."""
        if order < 1:
            raise ValueError(f"an n-gram model has order 1 or more, got order={order}")
        tokens = checked("train", train, vocab)
        keys, counts, contexts = [], [], [1]  # contexts: how many grams of the order below there are
        ids = np.zeros(len(tokens) + 1, np.int64)  # ids[j]: of the (k - 1)-gram before tokens[k - 1 + j]
        for k in range(1, order + 1):
            found, first, inverse, times = np.unique(
                ids[:-1] * vocab + tokens[k - 1 :], return_index=True, return_inverse=True, return_counts=True
            )
            if k > 1:  # the gram without its first token ends at the same place, one order below
                counts[-1] = np.bincount(ids[1:][first], minlength=len(keys[-1]))
            keys.append(found)
            counts.append(times)
            contexts.append(len(found))
            ids = inverse
            advance(1)
        parts = zip(keys, counts, contexts[:-1], strict=True)
        return cls(vocab, tuple(_discounted(key, count, key // vocab, above) for key, count, above in parts))

    def probabilities(self, tokens: Array) -> Array:
        """float64 [N - 1]: p(tokens[i] | the at most order - 1 tokens before it) for i = 1 .. N - 1."""
        tokens = checked("held_out", tokens, self.vocab)
        p = np.full(len(tokens), 1 / self.vocab)
        ids = np.zeros(len(tokens), np.int64)  # of the gram of k - 1 tokens that ends before each token, or -1
        for grams in self.orders:
            found = find(grams.keys, ids * self.vocab + tokens)  # behind -1 the key is negative: never found
            p = grams.share[found] + grams.rest[ids] * p
            ids = np.concatenate([[-1], found[:-1]])  # no gram ends before the first token
        return p[1:]


def discounts(counts: Array) -> tuple[float, float, float]:
    """D for counts of 1, 2, and 3 or more, from n_j, how many of `counts` equal j (Chen & Goodman 1998).

    Y = n1 / (n1 + 2 n2); D_j = j - (j + 1) · Y · n_{j+1} / n_j. Where an n_j is 0, or a discount does not fall strictly
    between 0 and its count (0 would leave unseen tokens without mass), all three are `FALLBACK`.
    """
    n = [int((counts == j).sum()) for j in range(5)]
    if not all(n[1:]):
        return FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    one, two, more = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
    return (one, two, more) if 0 < one < 1 and 0 < two < 2 and 0 < more < 3 else FALLBACK


def _discounted(keys: Array, counts: Array, context: Array, contexts: int) -> Grams:
    """Counts [grams] with their context's id [grams] -> what stays with each gram and what each context gives away."""
    discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]  # [grams]
    total = np.bincount(context, weights=counts, minlength=contexts)  # [contexts]
    taken = np.bincount(context, weights=discount, minlength=contexts)  # [contexts]
    rest = np.divide(taken, total, out=np.ones(contexts), where=total > 0)
    share = np.divide(counts - discount, total[context], out=np.zeros(len(keys)), where=counts > 0)
    return Grams(np.append(keys, UNSEEN), np.append(share, 0.0), np.append(rest, 1.0))


def find(keys: Array, wanted: Array) -> Array:
    """The place of each `wanted` in sorted `keys`, which end in UNSEEN; -1 where it is not among them."""
    place = np.searchsorted(keys, wanted)
    return np.where(keys[place] == wanted, place, -1)


def checked(name: str, tokens: Array, vocab: int) -> Array:
    """`tokens` as int64, or an error that names the token which is not one."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or (len(tokens) and not np.issubdtype(tokens.dtype, np.integer)):
        raise ValueError(f"{name} is one stream of integer ids, got {tokens.dtype} of shape {tokens.shape}")
    strange = np.flatnonzero((tokens < 0) | (tokens >= vocab))
    if len(strange):
        raise ValueError(f"{name}[{strange[0]}] is {tokens[strange[0]]}, not an id in [0, {vocab}): another tokenizer?")
    return tokens.astype(np.int64)
