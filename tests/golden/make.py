"""Write the golden files beside this one: of each published family a small folder as the reference writes it, rows, and
the reference's scores.

    PYTHONPATH=src python tests/golden/make.py bert      # needs transformers; without a name: those that are missing

They keep the numbers true where the reference is not installed. The folder is the first of the family's cases
(tests/odd). Make one anew only when a family is added: the old ones must go on passing.
"""

import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


@torch.no_grad()
def make(name: str) -> None:
    """A family's file: the folder's tensors by their names, "golden." ones beside them, its config as metadata."""
    from published_cases import CASES, Rows, reference

    from weft.files import read_tensors, write_tensors

    if name not in CASES:
        raise SystemExit(f"no file in tests/odd has cases of {name!r}: write one first (CONTRIBUTING.md says how)")
    case = CASES[name][0]
    theirs = reference(case)
    rows = Rows.of(theirs.config.vocab_size, 13, case.avoid)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        tensors = read_tensors(Path(folder) / "model.safetensors")
        config = (Path(folder) / "config.json").read_text(encoding="utf-8")
    golden = {"tokens": rows.tokens, "lengths": rows.lengths, "logits": rows.theirs(theirs).contiguous()}
    if theirs.config.is_encoder_decoder:
        golden |= {"source": rows.source, "source_lengths": rows.source_lengths}
    path = HERE / f"{name}.safetensors"
    write_tensors(path, tensors | {f"golden.{key}": value for key, value in golden.items()}, {"config": config})
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    from published_cases import CASES, published

    texts = [name for name in published() if CASES[name][0].given is None]
    for wanted in sys.argv[1:] or [name for name in texts if not (HERE / f"{name}.safetensors").is_file()]:
        make(wanted)
