"""Word vectors judged by analogies: how often a is to b as c is to d, by vectors that `weft vectors train` wrote.

    python benchmarks/analogies.py FOLDER… [--nearest 1 5]

Each kind of analogy is a list of pairs; every two pairs of a kind make a question, of which only those are asked whose
four words the vectors know. An answer is right where the fourth word is among the nearest to b - a + c, the three words
of the question left out (Mikolov et al. 2013, §4.1). Chance is nearest / words.
"""

from __future__ import annotations

import argparse
from itertools import permutations

from weft.vectors import Vectors

KINDS: dict[str, str] = {
    "sexes": "he-she his-her him-her man-woman men-women boy-girl king-queen father-mother son-daughter husband-wife "
    "brother-sister actor-actress prince-princess himself-herself brothers-sisters",
    "numbers": "one-first two-second three-third four-fourth five-fifth six-sixth seven-seventh eight-eighth ten-tenth",
    "plurals": "year-years day-days city-cities country-countries game-games song-songs film-films church-churches "
    "book-books child-children state-states war-wars player-players team-teams song-songs month-months species-species",
    "past": "is-was are-were has-had do-did make-made take-took become-became begin-began play-played use-used "
    "include-included win-won lose-lost write-wrote say-said go-went come-came",
    "comparatives": "large-larger small-smaller high-higher low-lower long-longer short-shorter old-older "
    "young-younger great-greater early-earlier late-later strong-stronger",
    "peoples": "france-french england-english germany-german china-chinese japan-japanese america-american "
    "britain-british australia-australian canada-canadian italy-italian russia-russian spain-spanish ireland-irish",
    "opposites": "north-south east-west northern-southern eastern-western first-last more-less before-after high-low",
}


def questions(kind: str, known: set[str]) -> list[tuple[str, str, str, str]]:
    """(a, b, c, d) of every two different pairs of a kind whose words are known."""
    pairs = [tuple(pair.split("-")) for pair in dict.fromkeys(KINDS[kind].split())]
    there = [(a, b) for a, b in pairs if a in known and b in known and a != b]
    return [(a, b, c, d) for (a, b), (c, d) in permutations(there, 2) if len({a, b, c, d}) == 4]


def judge(vectors: Vectors, nearest: list[int]) -> None:
    """A line for each kind, and one of all."""
    known, total, right = set(vectors.words), 0, dict.fromkeys(nearest, 0)
    for kind in KINDS:
        asked, found = questions(kind, known), dict.fromkeys(nearest, 0)
        for a, b, c, d in asked:
            near = [one.word for one in vectors.analogy(b, a, c, max(nearest))]
            for count in nearest:
                found[count] += d in near[:count]
        shown = "".join(f"{found[count] / max(1, len(asked)):>10.3f}" for count in nearest)
        print(f"{kind:14}{len(asked):>6,}{shown}")
        total, right = total + len(asked), {count: right[count] + found[count] for count in nearest}
    print(f"{'all':14}{total:>6,}" + "".join(f"{right[count] / max(1, total):>10.3f}" for count in nearest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--nearest", nargs="+", type=int, default=[1, 5])
    given = parser.parse_args()
    for folder in given.folders:
        print(f"{folder}: {'questions':>6}" + "".join(f"{f'in {count}':>10}" for count in given.nearest))
        judge(Vectors.load(folder), given.nearest)


if __name__ == "__main__":
    main()
