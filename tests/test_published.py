"""Every family that others publish, at odd sizes: the reference's folder is read, gives the reference's numbers, and is
written so that the reference reads it back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pages import ROOT
from published_cases import CASES, CLOSE, Case, measure, published

from weft.models import FAMILIES

STEEP, EXACT = 1e-4, 1e-12  # of a gradient, relative; of logits in fp64, standard deviations
EVERY = [(name, case, False) for name in published() for case in CASES.get(name, ())]
EVERY += [(name, case, True) for name in published() for case in CASES.get(name, ())[:1]]  # in shards


def test_every_published_family_has_odd_cases() -> None:
    assert {"gpt2", "llama"} <= set(published())
    for name in published():
        classes = {case.kind for case in CASES.get(name, ())}
        declared = FAMILIES.get(name).published
        least = 4 if name in ("bert", "gpt2", "llama", "t5") else 2
        assert len(CASES.get(name, ())) >= least, f"{name}: add odd configurations, a file in tests/odd"
        assert declared is not None and classes <= set(declared.classes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("family", "case", "shards"), EVERY, ids=str)
def test_the_reference_and_ours_are_one_model(
    family: str, case: Case, shards: bool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pytest.importorskip("transformers")
    found = measure(case, tmp_path, shards=shards)
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file() == shards
    record_property("logits, standard deviations", found.logits)
    record_property("gradient, relative", found.gradient)
    print(f"{family}: logits {found.logits:.1e} sd, gradient {found.gradient:.1e}")
    assert found.gradient <= STEEP
    assert found.logits <= CLOSE or (found.exact is not None and found.exact <= EXACT and found.logits <= 2 * CLOSE)
    assert found.greedy is not False and found.equal


def test_the_page_of_families_names_all_of_them() -> None:
    page = (ROOT / "docs" / "families.md").read_text()
    missing = [name for name in published() if f"| {name} |" not in page]
    assert not missing, f"make docs/families.md anew: python docs/families.py ({', '.join(missing)})"
