"""Verbs of what came before attention, and their options; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson, Overwrite

Data = Annotated[list[str], typer.Option("--data", help="what is counted or read: file, folder or pattern; repeat it")]
Column = Annotated[str, typer.Option("--column", help="which holds the text, in .csv, .tsv, .jsonl and .parquet")]
Trained = Annotated[Path, typer.Argument(metavar="DIR", help="what `weft vectors train --out` wrote")]
Count = Annotated[int, typer.Option("--count", help="how many words are shown")]

vectors = typer.Typer(help="Word vectors: CBOW and skip-gram, neighbours, analogies, a plane.", no_args_is_help=True)


def ngram(
    data: Data,
    held_out: Annotated[
        list[str], typer.Option("--held-out", help="what is predicted: file, folder or pattern; may be repeated")
    ],
    kind: Annotated[
        str, typer.Option("--kind", help="kneser_ney (interpolated, modified), or bigram, by counting")
    ] = "kneser_ney",
    order: Annotated[int | None, typer.Option("--order", help="of kneser_ney: tokens in a gram; default: 5")] = None,
    add: Annotated[
        float | None, typer.Option("--add", help="to each count of a bigram; 0: counting alone; default: 1")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="a kind, trained on --data; or a run's folder, to compare with the run")
    ] = "bytes",
    vocab: Annotated[int, typer.Option("--vocab", help="most ids of a tokenizer that is trained")] = 4096,
    column: Column = "text",
    as_json: AsJson = False,
) -> None:
    """Count n-grams and predict held-out text with them: the numbers of `weft eval`, of a model that was only counted.

    weft ngram --data train.txt --held-out dev.txt --order 6
    weft ngram --data train.txt --held-out dev.txt --kind bigram --add 0.1 --tokenizer runs/notes
    """
    from weft.cli.ngram import command

    command(tuple(data), tuple(held_out), kind, order, add, tokenizer, vocab, column, as_json=as_json)


@vectors.command("train")
def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="folder of the vectors")],
    kind: Annotated[
        str,
        typer.Option("--kind", help="skipgram: each word around tells the one in the middle; cbow: their mean does"),
    ] = "skipgram",
    least: Annotated[int, typer.Option("--least", help="how often a word has to occur to have a vector")] = 5,
    keep_case: Annotated[bool, typer.Option("--keep-case", help="Rose and rose are two words")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a=b", help="width, window, negatives, sample, epochs, rate, batch"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="of all that is drawn")] = 0,
    column: Column = "text",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace earlier vectors in the folder")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn a vector for each word of some text.

    weft vectors train --data notes/ --kind cbow --out runs/vectors
    weft vectors train --data wiki.txt --set width=200 --set epochs=40 --out runs/vectors
    """
    from weft.cli.vectors import Asked
    from weft.cli.vectors import train as command

    asked = Asked(tuple(data), column, kind, tuple(changes or ()), seed)
    command(asked, out, least=least, lower=not keep_case, overwrite=overwrite, as_json=as_json)


@vectors.command("near")
def near(
    folder: Trained,
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="words that have a vector")],
    count: Count = 10,
    as_json: AsJson = False,
) -> None:
    """The words nearest to a word, by the cosine of their vectors.

    weft vectors near runs/vectors king river
    """
    from weft.cli.vectors import near as command

    command(folder, words, count, as_json=as_json)


@vectors.command("analogy")
def analogy(
    folder: Trained,
    a: Annotated[str, typer.Argument(metavar="A", help="is to B as the answer is to C")],
    b: Annotated[str, typer.Argument(metavar="B", help="what is taken away")],
    c: Annotated[str, typer.Argument(metavar="C", help="what is added")],
    count: Count = 5,
    as_json: AsJson = False,
) -> None:
    """The words nearest to A - B + C.

    weft vectors analogy runs/vectors king man woman
    """
    from weft.cli.vectors import analogy as command

    command(folder, a, b, c, count, as_json=as_json)


@vectors.command("plot")
def plot(
    folder: Trained,
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="words that have a vector")],
    out: Annotated[Path, typer.Option("--out", help="the picture, .png")],
    neighbours: Annotated[int, typer.Option("--near", help="nearest words of each, drawn beside it in its colour")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Draw words on the plane that keeps most of what tells them apart (PCA).

    weft vectors plot runs/vectors king river music --near 8 --out words.png
    """
    from weft.cli.vectors import plot as command

    command(folder, words, neighbours, out, overwrite=overwrite)
