"""Verbs that ask a model about texts, and their options; as in `weft.cli.app`, everything heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.folders import AsJson, Overwrite

Folder = Annotated[str, typer.Argument(metavar="DIR", help="a model's folder, or owner/name on the hub")]


def evaluate(
    name: Folder,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="held-out text, or a task's rows: file, folder or pattern; repeated. One that acts needs none",
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option("--rows", help="stream, isolate or pack (data.rows); default: as in training"),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", help="rows overlap and begin so many tokens apart; default: they do not overlap"),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", help="which holds the text, in .csv, .tsv, .jsonl and .parquet; default: text"),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="prompt it: a task's .toml or .json, or a name; of a tuned model, its own task"),
    ] = None,
    shots: Annotated[int | None, typer.Option("--shots", help="examples in a prompt; default: the task's")] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="0,1,2", help="of the draws of examples, or of what acts or draws; default: 0"),
    ] = None,
    random_labels: Annotated[
        str | None,
        typer.Option(
            "--random-labels", metavar="0,1", help="shares of the examples that get a random label; default: 0"
        ),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option("--examples", help="file that examples are drawn from; default: --data, other rows")
    ] = None,
    cut: Annotated[bool, typer.Option("--cut", help="prompts longer than the context lose their beginning")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="with a task: what was predicted, one JSON object a line")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="of what a translator writes of the sources: bleu, chrf …; may be repeated"),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="with --metric: the language, of a model of several")] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="DIR", help="of a model that draws: one that tells pictures apart")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", help="with --judge: pictures of each class; default: 50")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Held-out nats per token, perplexity and, where the tokenizer is lossless, bits per byte; with a task, its metric
    when prompted, or fine-tuned, for it; with --metric, scores of translations, found as `weft translate` finds them;
    with --judge, what another model makes of the pictures that this one draws. Of a model that acts, the
    returns it is asked for and those it comes to.

    weft eval runs/notes --data held_out.txt --stride 64
    weft eval runs/notes --task mood.toml --data dev.tsv --shots 4 --seeds 0,1,2 --random-labels 0,1
    weft eval runs/mood --task classify --data dev.tsv
    weft eval runs/mt --data test.en --data test.de --metric tokenised_bleu --metric bleu
    weft eval runs/drawn --judge runs/clothes --data clothes/
    weft eval runs/cartpole --seeds 1,2
    """
    from weft.cli.prompting import Asked
    from weft.cli.prompting import command as prompted
    from weft.cli.shared import each_once, unheard
    from weft.data.sources import COLUMN

    asked = Asked(task or "", shots, seeds, random_labels, examples, cut, out, overwrite)
    of_text = {"rows": rows, "stride": stride}
    if not data:
        from weft.cli.evaluate import alone

        others = {"task": task, "column": column, "metric": metric or None, "to": to, "out": out, "judge": judge}
        unheard("what is scored on data: name some, --data", of_text | asked.of_prompts | others | {"seeds": None})
        alone(name, seeds, as_json=as_json)
        return
    if judge is not None:
        unheard("texts: leave out --judge", of_text | {"metric": metric or None, "to": to, "column": column})
        others = {"task": task, "out": out, "overwrite": overwrite}
        unheard("--task", asked.of_prompts | others | {"seeds": None})
        from weft.cli.judged import command as judged

        judged(name, judge, tuple(data), count, seeds, as_json=as_json)
        return
    unheard("--judge", {"count": count})
    if task is not None:
        unheard("held-out likelihood: leave out --task", of_text)
        unheard("translations: leave out --task", {"metric": metric or None, "to": to})
        unheard("files of texts: leave out --task", {"column": column})
        prompted(name, tuple(data), asked, as_json=as_json)
        return
    unheard("--task", asked.of_prompts | {"out": out, "overwrite": overwrite})
    each_once(data)
    if metric:
        from weft.cli.translate import evaluate as translations

        unheard("held-out likelihood: leave out --metric", of_text)
        translations(name, tuple(data), metric, to, column or COLUMN, as_json=as_json)
        return
    from weft.cli.evaluate import command

    unheard("--metric", {"to": to})
    command(name, tuple(data), rows, column, stride, as_json=as_json)


def score(
    text: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="a text, or a file that holds one")],
    names: Annotated[list[str], typer.Argument(metavar="DIR…", help="models' folders, or owner/name on the hub")],
    stride: Annotated[
        int | None,
        typer.Option("--stride", help="windows of a long text begin so many tokens apart; default: half the context"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How likely models find a text: which of them may have written it? Sorted by bits per byte, best first.

    weft score "To be, or not to be" runs/shakespeare runs/austen
    weft score letter.txt runs/notes --stride 1
    """
    from weft.cli.score import command

    command(text, names, stride, as_json=as_json)


def fill(
    name: Folder,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="a text with a _ for each word that is missing")],
    top: Annotated[int, typer.Option("--top", help="likeliest words that are shown for each blank")] = 5,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", help="pieces of each blank, default: 1; of a text-to-text model at most, default: 8"),
    ] = None,
    blank: Annotated[str, typer.Option("--blank", metavar="WORD", help="what marks a blank")] = "_",
    as_json: AsJson = False,
) -> None:
    """A masked language model's likeliest words for each blank, or those of a text-to-text model trained with spans.

    weft fill models/bert "This _ a fluffy dog."
    weft fill models/bert "snake_case is ??? here" --blank "???" --tokens 2
    """
    from weft.cli.fill import command

    command(name, text, top, tokens, blank, as_json=as_json)
