"""What a fine-tuned model says of a file, line by line."""

from __future__ import annotations

import json
from pathlib import Path

from weft.data.progress import counted
from weft.data.sources import Say, quiet
from weft.files import write_bytes
from weft.outputs import check_file
from weft.recipes.predicted import Predicted
from weft.recipes.tuning.description import Columns
from weft.recipes.tuning.kinds import KINDS
from weft.recipes.tuning.scores import score
from weft.recipes.tuning.tuned import read_tuned
from weft.training.world import place

SAID = ("text", "pair", "label", "choices", "header")  # of a file, when it is predicted


def predict(
    folder: Path | str,
    data: Path | str,
    out: Path | str | None,
    *,
    columns: Columns | None = None,
    labelled: bool = False,
    device: str = "auto",
    say: Say = quiet,
) -> Predicted:
    """Write one JSON object for each example of a file, in their order: a row, a sentence, a question.

    out: None writes nothing; never the file that is read, nor a folder; another file is replaced. columns: what is not
    named in them stands where it stood when the model was tuned.
    labelled: the file says what is right, and the metric is computed; else no label is read. say: hears how far it is.
    ValueError or DamagedFile names what is wrong.
    """
    if out is not None:
        check_file(out, reads=(data,), overwrite=True)
    tuned = read_tuned(Path(folder))
    for text in tuned.model.notices:
        say(text)
    description, tokenizer = tuned.description, tuned.model.need_tokenizer()
    kind = KINDS.get(description.task)
    metric = kind.fitting(description.metric, f"the task {description.task}")
    given = columns or Columns()
    kind.check_heard(given.said, description.task, SAID)
    if given.pair is not None and description.columns.pair is None:
        raise ValueError(f"{folder} was tuned on single texts, and reads no second one in {given.pair!r}: leave it out")
    examples = kind.read(Path(data), given.over(description.columns), labelled=labelled)
    rows = kind.encode(examples, description, tokenizer, say, labelled=labelled)
    module, advance = tuned.module.to(place(device)), counted(say, "rows", len(rows.data))
    scores = score(module, rows.data, description.objective, labelled=False, advance=advance).rows
    if out is not None:
        lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in rows.lines(scores))
        write_bytes(Path(out), "".join(lines).encode())
    if not labelled:
        return Predicted(len(examples), None, None)
    predicted, gold = rows.predicted(scores, metric.needs), rows.gold(metric.needs)
    return Predicted(len(examples), metric.score(predicted, gold), metric.interval(predicted, gold, say))
