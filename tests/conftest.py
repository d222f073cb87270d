"""One thread, fixed seeds, property tests that try the same examples every time; runs that several files read."""

import os
import shutil
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
import torch
from commands import SIX, TINY, good, stop_after, weft

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


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)


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
