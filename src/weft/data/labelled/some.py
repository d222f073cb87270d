"""Some of many examples, chosen by a seed."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def choose_some(groups: Sequence[Hashable], count: int, seed: int) -> list[int]:
    """Which `count` of N examples, in their order; a function of the seed. groups: of each its class;
    all alike where there are none.

    Each group is there in proportion to its size, one example more or less, and with one example before any has two.
    What is chosen of fewer is part of what is chosen of more. ValueError for none, and for more than there are.
    """
    if not 1 <= count <= len(groups):
        raise ValueError(f"{count:,} examples of {len(groups):,}: choose at least 1, and no more than there are")
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    sizes, seen = Counter(groups), Counter[Hashable]()
    shares = dict[int, float]()  # of its group, what comes before an example
    for place in order:
        shares[place] = seen[groups[place]] / sizes[groups[place]]
        seen[groups[place]] += 1
    return sorted(sorted(order, key=shares.__getitem__)[:count])
