"""One thread, fixed seeds, property tests that try the same examples every time; runs that several files read."""

import itertools
import os
import shutil
import zlib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest
import torch
from commands import SIX, TINY, good, stop_after, weft

from weft.data import progress
from weft.training import measure

torch.set_num_threads(1)
os.environ["HF_HUB_OFFLINE"] = "1"  # a name that is no folder is looked up nowhere
hypothesis.settings.register_profile(
    "weft",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("weft")


# What is asked of every family under every position scheme, or compiled: the suite does it whole for these families,
# and of the rest of the matrix a fourth, spread over all; `make test-all` does all of it.
REPRESENTATIVES = {"bert", "deberta_v2", "gpt2", "llama", "mixtral", "outside", "t5", "transformer"}
MATRIX = {
    "test_a_row_does_not_feel_its_companions",
    "test_any_position_scheme_generates_as_it_computes",
    "test_bf16_runs_and_stays_near",
    "test_packed_rows_are_separate_rows",
    "test_the_fastest_able_kernel_is_fixed_for_every_field_and_replayed",
    "test_the_future_changes_nothing",
}
ALONE = {"test_compiled_is_uncompiled"}  # of the others, none: each takes seconds
SPREAD = {  # of the others a fourth: what they hold is mostly the engine's, whatever the family
    "test_a_step_or_a_refusal_that_says_why",
    "test_each_new_head_is_the_mean_of_its_group",
    "test_heads_that_are_equal_lose_nothing",
    "test_prompts_in_a_batch_get_what_each_gets_alone",
    "test_streamed_text_is_the_text_written_at_once",
    "test_the_reference_goes_on_as_weft_does",
    "test_what_a_lossy_tokenizer_goes_on_with_is_joined_to_its_prompt",
    "test_wide_beams_find_the_optimum",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the rest of a matrix as slow."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        test = getattr(item, "originalname", item.name)
        family = given.get("family", given.get("name"))
        if test not in MATRIX | ALONE | SPREAD or family in REPRESENTATIVES:
            continue
        scheme = str(given.get("position", given.get("scheme", "own")))
        kept = scheme == "own" or zlib.crc32(f"{family} {scheme} {test}".encode()) % 4 == 0
        if test in SPREAD:
            kept = zlib.crc32(item.name.encode()) % 4 == 0
        if test in ALONE or not kept:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six seconds pass whenever it is asked how far something is."""
    seconds = itertools.count(0, 6)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder's run, whole; read it only."""
    out = tmp_path_factory.mktemp("trained") / "run"
    good("train", "llama", "--out", out, *TINY)
    return out


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder–decoder's run, whole; read it only."""
    out = tmp_path_factory.mktemp("translator") / "run"
    good("train", "transformer", "--out", out, *TINY)
    return out


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 6 steps that was asked to stop after the third; read it only."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        assert weft("train", "llama", "--out", out, *TINY, *SIX).status == 130
    return out


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A text of 60 lines."""
    path = tmp_path / "book.txt"
    path.write_text("".join(f"the {n}th line of a small book\n" for n in range(60)))
    return path


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the runs here; those above are drawn. It is as if matplotlib were missing."""

    def draw(*_: object, **__: object) -> None:
        raise ValueError("drawing needs matplotlib")

    monkeypatch.setattr(import_module("weft.recipes.run"), "draw", draw)


@pytest.fixture
def one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run decides for the same kernel, whatever the clock says; else two runs need not have the same bits."""
    monkeypatch.setattr(measure, "costs", lambda *_, **__: {"matmul": 1.0})
