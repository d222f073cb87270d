"""Write the golden files beside this one: of each published family a small folder as the reference writes it, rows, and
the reference's scores.

    PYTHONPATH=src python tests/golden/make.py bert      # needs transformers; without a name: those that are missing

They keep the numbers true where the reference is not installed. The folder is the first of the family's cases
(tests/odd). Make one anew only when a family is added: the old ones must go on passing.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


@torch.no_grad()
def make(name: str) -> None:
    """A family's file: the folder's tensors by their names, "golden." ones beside them, its config as metadata."""
    from published_cases import CASES, Rows, headless, reference

    import weft
    from weft.files import read_tensors, write_tensors

    if name not in CASES:
        raise SystemExit(f"no file in tests/odd has cases of {name!r}: write one first (CONTRIBUTING.md says how)")
    case = CASES[name][0]
    theirs = reference(case)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        tensors = read_tensors(Path(folder) / "model.safetensors")
        config, bare = (Path(folder) / "config.json").read_text(encoding="utf-8"), headless(weft.load(folder).module)
    told, metadata = dict[str, torch.Tensor](), {"config": config}
    if case.given is None:
        rows = Rows.of(theirs.config.vocab_size, 13, case.avoid)
        told = {"tokens": rows.tokens, "lengths": rows.lengths, "logits": rows.theirs(theirs).contiguous()}
        if theirs.config.is_encoder_decoder:
            told |= {"source": rows.source, "source_lengths": rows.source_lengths}
    else:
        given = case.given(theirs.config)
        said, told = written(given)
        metadata["given"] = json.dumps(said)
        told["logits"] = given.kept(given.theirs(theirs, states=bare)).contiguous()
    path = HERE / f"{name}.safetensors"
    write_tensors(path, tensors | {f"golden.{key}": value for key, value in told.items()}, metadata)
    print(f"{path.name}: {path.stat().st_size} bytes")


def written(given: Any, prefix: str = "") -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What a reference was given: its class and its fields, and by their dotted names those that are tensors."""
    plain, tensors = dict[str, Any](), dict[str, torch.Tensor]()
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        if isinstance(value, torch.Tensor):
            tensors[prefix + field.name] = value.contiguous()
        elif dataclasses.is_dataclass(value):
            plain[field.name], inside = written(value, f"{prefix}{field.name}.")
            tensors |= inside
        else:
            plain[field.name] = value
    return {"module": type(given).__module__, "class": type(given).__qualname__, "fields": plain}, tensors


if __name__ == "__main__":
    from published_cases import published

    for wanted in sys.argv[1:] or [name for name in published() if not (HERE / f"{name}.safetensors").is_file()]:
        make(wanted)
