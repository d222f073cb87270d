"""Make docs/families.md, and what `weft list` says of proofs: every family beside its reference, at the odd sizes that
the suite tries.

    PYTHONPATH=src python docs/families.py              # needs transformers; some minutes
    PYTHONPATH=src python docs/families.py llama bert   # prove these alone: their lines are printed, nothing is written
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROOFS = ROOT / "src" / "weft" / "cli" / "proofs.json"
sys.path.insert(0, str(ROOT / "tests"))

HEAD = """# Families beside the reference

Made by `python docs/families.py`; the suite holds the same figures (`tests/test_published.py`). Each family is tried in
fp32 at odd configurations (`tests/odd`), every parameter random, norms and biases too, on ragged rows: the reference
saves a folder, `weft.load` reads it. *logits*: max |difference| in standard deviations of the reference's logits.
*gradient*: of the token table, relative. *greedy*: the same tokens, ours from one batch, the reference's row by row.
*round trip*: the reference reads what `weft.save` writes with equal tensors and config, and a second save has the same
bytes.

| family | lines of its file | configurations | logits | gradient | greedy | round trip | reference |
|---|---|---|---|---|---|---|---|
"""
OWN_HEAD = """
Families that no class of the reference's computes, and what each is held against:

| family | lines of its file | held against | where | tests |
|---|---|---|---|---|
"""
OWN = {
    "conformer": (
        "the paper's equations, place by place; the sum over all ways to say labels",
        "tests/test_conformer.py::test_the_block_is_the_paper_s "
        "tests/test_conformer.py::test_the_loss_is_the_sum_over_all_ways",
    ),
    "cct": (
        "the authors' equations, of torch's convolutions and products",
        "tests/test_pictures.py::test_cct_is_what_its_definition_says",
    ),
    "gpt3": (
        "GPT-2, where the window covers the row; the keys that have a gradient in each layer, counted",
        "tests/test_classic.py::test_every_second_layer_of_gpt3_looks_through_a_window "
        "tests/test_classic.py::test_gpt3_is_gpt2_where_the_window_covers_the_row",
    ),
    "music": (
        "the vectors of distance looked up one by one, which skewing must equal",
        "tests/test_music.py::test_skewing_is_what_is_looked_up",
    ),
    "rnn": ("a loop over torch.nn.GRUCell", "tests/test_recurrent.py::test_it_is_a_plain_loop_over_cells"),
    "series": (
        "what the definition says of the next and of hidden vectors",
        "tests/test_series.py::test_the_next_vector_is_told_from_those_before "
        "tests/test_series.py::test_hidden_vectors_are_told_from_the_others",
    ),
    "spanbert": (
        "BERT, and the paper's equations of the span head",
        "tests/test_bert_kin.py::test_a_span_is_told_from_the_states_just_outside_it",
    ),
    "transformer": ("torch.nn.Transformer", "tests/test_parity.py::test_the_transformer_of_2017"),
    "vqgan": (
        "the nearest code by brute force, a step straight through, and the papers' terms",
        "tests/test_codes.py::test_the_terms_are_those_of_the_papers "
        "tests/test_codes.py::test_the_nearest_code_is_that_of_brute_force",
    ),
    "dit": (
        "the papers' schedule and loss, and a loop that finds the picture when it is told the noise",
        "tests/test_diffusion.py::test_the_loss_is_that_of_the_paper_and_of_parts_that_of_the_whole "
        "tests/test_diffusion.py::test_the_loop_finds_the_picture_of_one_who_knows_it",
    ),
    "unit": (
        "the paper's equations for one row at a time, with torch's attention",
        "tests/test_unit.py::test_a_task_is_asked_as_the_paper_says",
    ),
}


def lines(name: str) -> int:
    """Of the file that registers a family."""
    from weft.models.family import _FILES

    texts = [(ROOT / "src" / "weft" / "models" / f"{file}.py").read_text(encoding="utf-8") for file in _FILES]
    found = [text for form in (f'name="{name}"', f'"{name}"') for text in texts if form in text]
    return len(found[0].splitlines())


def row(name: str) -> tuple[str, dict[str, Any]]:
    """A family's line of the table, and its proof as data."""
    import transformers
    from published_cases import CASES, measure

    if name not in CASES:
        raise SystemExit(f"no file in tests/odd has cases of {name!r}: write one first (CONTRIBUTING.md says how)")
    figures = []
    for case in CASES[name]:
        with tempfile.TemporaryDirectory() as folder:
            figures.append(measure(case, Path(folder)))
    reference = f"transformers {transformers.__version__}"
    logits, tokens = max(found.logits for found in figures), [f.greedy for f in figures if f.greedy is not None]
    cells = (
        name,
        lines(name),
        len(CASES[name]),
        f"{logits:.1e}",
        f"{max(found.gradient for found in figures):.1e}",
        "–" if not tokens else "equal" if all(tokens) else "**differ**",
        "equal" if all(found.equal for found in figures) else "**differs**",
        reference,
    )
    return f"| {' | '.join(map(str, cells))} |\n", {"against": reference, "logits": float(f"{logits:.1e}")}


def own(name: str) -> tuple[str, dict[str, Any]]:
    """The line of a family that has no class in the reference, and its proof: the tests, run."""
    if name not in OWN:
        raise SystemExit(f"OWN in docs/families.py does not say what {name!r} is held against: add it")
    against, where = OWN[name]
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "-n", "0", *where.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode or passed is None:
        raise SystemExit(f"{name}: {done.stdout[-2000:]}")
    tests = ", ".join(f"`{test.partition('::')[2]}`" for test in where.split())
    return (
        f"| {name} | {lines(name)} | {against} | {tests} | {passed[1]} pass |\n",
        {"against": against, "tests": int(passed[1])},
    )


def main(only: list[str]) -> None:
    import torch
    import transformers
    from published_cases import published

    from weft.models import FAMILIES

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    importlib.import_module("weft.hub")
    names = published()
    others = [name for name in FAMILIES.names() if name not in names]
    if unknown := [name for name in only if name not in (*names, *others)]:
        raise SystemExit(f"no family is called {', '.join(unknown)}; there are {', '.join(FAMILIES.names())}")
    if only:
        print("".join((row if name in names else own)(name)[0] for name in only), end="")
        return
    rows = {name: row(name) for name in names} | {name: own(name) for name in others}
    page = HEAD + "".join(rows[name][0] for name in names) + OWN_HEAD + "".join(rows[name][0] for name in others)
    (ROOT / "docs" / "families.md").write_text(page, encoding="utf-8")
    proofs = {name: rows[name][1] for name in sorted(rows)}
    PROOFS.write_text(json.dumps(proofs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(sys.argv[1:])
