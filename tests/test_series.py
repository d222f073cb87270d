"""Series: numbers from a table, normalised and back; the next vector and hidden ones, told as defined."""

import gzip
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from parts import close, randomised
from torch import Tensor, nn

from weft.batch import IGNORED, Batch, Place
from weft.data.signals.series import Series, Table, read_table, windows
from weft.files import DamagedFile
from weft.models import Blueprint
from weft.nn import Layout
from weft.objectives import OBJECTIVES, Objective, layout
from weft.objectives.series import VECTORS, MaskedVectors, NextVector

# ------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("some.csv", 'time,a, b \n1,2,-3e1\n\n2," 4.5",5\n'),
        ("some.tsv", "time\ta\tb\n1\t2\t-30\n2\t4.5\t5\n"),
        ("some.csv.gz", "time,a,b\r\n1,2,-30\r\n2,4.5,5\r\n"),
    ],
)
def test_a_table_is_its_columns(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    found = read_table(path)
    assert found.columns == ("time", "a", "b") and found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, [[1, 2, -30], [2, 4.5, 5]])
    chosen = read_table(path, ["b", "a"])
    assert chosen.columns == ("b", "a")
    np.testing.assert_array_equal(chosen.values, [[-30, 2], [5, 4.5]])


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("", None, "is empty"),
        ("a,b\n", None, "has a header and no row"),
        ("a,b\n1,2\n3\n", None, "line 3: the row has 1 values and the header 2"),
        ("a,b\n1,2\n3,four\n", None, "line 3: 'b' 'four' is no finite number"),
        ("a,b\n1, \n", None, "line 2: 'b' is empty"),
        ("a,b\n1,nan\n", None, "'nan' is no finite number"),
        ("a,b\n1,1e999\n", None, "'1e999' is no finite number"),
        ("a,b\n1,-1e39\n", None, "line 2: 'b' '-1e39' is beyond the 3.4e.38"),
        ("a,b\n1,1_0\n", None, "'1_0' is no finite number"),
        ("a,a\n1,2\n", None, "2 columns called 'a'"),
        ("a,b\n1,2\n", ["c"], "no column 'c'.*there are: 'a', 'b'"),
        ('a,b\n1,"2\n', None, "line 2"),
    ],
)
def test_a_table_that_is_none_is_named(text: str, columns: list[str] | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"bad.csv.*{said}"):
        read_table(path, columns)


def test_only_the_columns_that_are_chosen_must_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "dated.csv"
    path.write_text("date,price\nMonday,1\nTuesday,2\n")
    assert read_table(path, ["price"]).values.tolist() == [[1.0], [2.0]]
    with pytest.raises(DamagedFile, match="line 2: 'date' 'Monday'"):
        read_table(path)
    with pytest.raises(ValueError, match="missing.csv"):
        read_table(tmp_path / "missing.csv")


def test_a_table_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.data.signals.series.MOST_NUMBERS", 10)
    path = tmp_path / "large.csv"
    path.write_text("a\n" + "1\n" * 11)
    with pytest.raises(ValueError, match="more than the 10 numbers"):
        read_table(path)


NUMBERS = arrays.arrays(
    np.float64, st.tuples(st.integers(3, 9), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)
)


@given(NUMBERS)
def test_each_channel_is_normalised_and_goes_back(values: np.ndarray) -> None:
    names = tuple(f"c{number}" for number in range(values.shape[1]))
    if (values.std(axis=0) <= 1e-9 * np.abs(values).max(axis=0)).any():
        return
    processor = Series.of(Table(names, values))
    rows = processor.rows(values[None])
    assert rows.dtype == np.float32 and processor.channels_of_place == values.shape[1]
    np.testing.assert_allclose(rows[0].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows[0].std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(processor.values(rows)[0], values, rtol=1e-5, atol=1e-5 * np.abs(values).max() + 1e-9)


def test_what_cannot_be_normalised_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'b' is 3 throughout"):
        Series.of(Table(("a", "b"), np.array([[1.0, 3.0], [2.0, 3.0]])))
    with pytest.raises(ValueError, match="a, row 2, lies 1e.46 deviations"):
        Series(("a",), (0.0,), (1e-8,)).rows(np.array([[[0.0], [1e38]]]))
    processor = Series(("a", "b"), (0.0, 1.0), (1.0, 2.0))
    with pytest.raises(ValueError, match=r"series of 2 channels are \[N, T, C\], not \[3, 2\]"):
        processor.rows(np.zeros((3, 2)))
    (tmp_path / "some.csv").write_text("b,a\n1,2\n")
    assert processor.read(tmp_path / "some.csv").tolist() == [[2.0, 1.0]]
    for wrong in ((("a",), (0.0, 1.0), (1.0,)), (("a",), (0.0,), (0.0,)), ((), (), ())):
        with pytest.raises(ValueError):
            Series(*wrong)


def test_windows_are_stretches_of_a_series() -> None:
    values = np.arange(14.0).reshape(7, 2)
    assert windows(values, 3)[:, :, 0].tolist() == [[0, 2, 4], [6, 8, 10]]
    assert windows(values, 3, step=2)[:, 0].tolist() == [[0, 1], [4, 5], [8, 9]]
    for length, step in ((8, 1), (0, 1), (3, 0)):
        with pytest.raises(ValueError, match="no stretch"):
            windows(values, length, step=step)


# --------------------------------------------------------------------------------------------------------- objectives


class Rows:
    """A data set of rows of vectors, ragged where there are segments."""

    def __init__(self, tokens: Tensor, segments: Tensor | None = None) -> None:
        self.tokens, self.segments = tokens, segments

    def __len__(self) -> int:
        return len(self.tokens)

    def place(self, position: int, seed: int) -> Place:
        return Place(position // len(self), position % len(self))

    def batch(self, places: Sequence[Place]) -> Batch:
        at = [place.sample for place in places]
        segments = None if self.segments is None else self.segments[at]
        return Batch(self.tokens[at], segments=segments, samples=tuple(at))


def model(**changes: Any) -> nn.Module:
    return randomised(Blueprint.of("series", "debug", **changes).build())


def read(data: Any, *samples: int, epoch: int = 0) -> Batch:
    return data.batch([Place(epoch, sample) for sample in samples])


SEGMENTS = torch.tensor([[1, 1, 1, 1, 2, 2, 2], [0, 0, 1, 1, 1, 1, 0], [1] * 7, [0, 0, 0, 1, 0, 0, 0]])


def begun(name: str) -> tuple[Objective, nn.Module, Any]:
    """An objective, a model that it can be asked of, and ragged data."""
    objective = OBJECTIVES.get(name)()
    looks = {
        "next_vector": dict(looks="back", tasks=["next"]),
        "masked_vectors": dict(looks="both", tasks=["hidden"]),
    }
    data = Rows(torch.randn(4, 7, 3), SEGMENTS)
    return objective, model(**looks[name]), objective.turn_signals(data, 5)


def told(module: nn.Module, batch: Batch) -> Tensor:
    return module.logits(module(batch.tokens, layout(batch))[0])  # type: ignore[operator]


def test_the_next_vector_is_told_from_those_before() -> None:
    objective, module, data = begun("next_vector")
    batch = read(data, 0, 1, 2, 3)
    labels = torch.zeros(4, 7, dtype=torch.int64)
    labels[2, 3:] = IGNORED
    pairs = [(0, 0), (0, 1), (0, 2), (0, 4), (0, 5), (1, 2), (1, 3), (1, 4), *((2, place) for place in range(6))]
    for one, asked in ((batch, pairs), (replace(batch, labels=labels), [p for p in pairs if p[0] != 2 or p[1] < 3])):
        found, loss = told(module, one), objective.losses(module, one)["loss"]
        wanted = sum((found[b, t] - one.tokens[b, t + 1]).square().mean() for b, t in asked)
        assert loss.count == objective.counts(one)["loss"] == len(asked)
        torch.testing.assert_close(loss.sum, torch.as_tensor(wanted))


def test_documents_of_one_row_cost_what_they_cost_alone() -> None:
    """T12."""
    objective, module, data = begun("next_vector")
    packed = read(data, 0)
    parts = [Batch(packed.tokens[:, part]) for part in (slice(0, 4), slice(4, 7))]
    alone = [objective.losses(module, part)["loss"] for part in parts]
    whole = objective.losses(module, packed)["loss"]
    assert whole.count == sum(loss.count for loss in alone) == 5
    torch.testing.assert_close(whole.sum, sum((loss.sum for loss in alone), torch.zeros(())))


def test_hidden_vectors_are_told_from_the_others() -> None:
    objective, module, data = begun("masked_vectors")
    batch = read(data, 0, 1, 2, 3)
    assert batch.labels is not None
    hidden = batch.labels == 0
    assert bool((batch.tokens[hidden] == 0).all()) and not (hidden & (SEGMENTS == 0)).any()
    close(batch.tokens[~hidden], data.data.tokens[~hidden])
    assert torch.equal(batch.asked[VECTORS], data.data.tokens)
    loss, found = objective.losses(module, batch)["loss"], told(module, batch)
    torch.testing.assert_close(loss.sum, (found - data.data.tokens)[hidden].square().mean(-1).sum())
    assert loss.count == objective.counts(batch)["loss"] == int(hidden.sum()) > 0
    other = {VECTORS: batch.asked[VECTORS] + 1.0}
    close(told(module, replace(batch, asked=other)), found)  # nothing of them is seen
    with pytest.raises(ValueError, match="nothing of this batch is hidden"):
        objective.losses(module, read(data.data, 0))


@pytest.mark.parametrize(("share", "length"), [(0.15, 3), (0.5, 1), (0.3, 10)])
def test_stretches_are_hidden_whole(share: float, length: int) -> None:
    data = MaskedVectors(share, length).turn_signals(Rows(torch.randn(9, 200, 2)), 0)
    batch = read(data, *range(9))
    assert batch.labels is not None
    for labels in batch.labels:
        hidden = "".join("x" if number == 0 else "." for number in labels.tolist())
        inner = [run for run in hidden.split(".") if run and not (hidden.startswith(run) or hidden.endswith(run))]
        assert all(len(run) % length == 0 for run in inner) and "x" in hidden
        assert abs(hidden.count("x") / 200 - share) <= (length + 2) / 200 + length / 400


def test_what_is_hidden_hangs_on_seed_epoch_and_sample_alone() -> None:
    """T2."""
    _, _, data = begun("masked_vectors")
    whole, alone = read(data, 0, 1, 2, epoch=3), read(data, 2, epoch=3)
    assert torch.equal(whole.tokens[2], alone.tokens[0])
    assert torch.equal(whole.labels[2], alone.labels[0])  # type: ignore[index]
    long = Rows(torch.randn(2, 60, 1))
    same = [
        read(MaskedVectors().turn_signals(long, seed), 0, 1, epoch=epoch).labels for seed, epoch in ((0, 0), (0, 0))
    ]
    other = [
        read(MaskedVectors().turn_signals(long, seed), 0, 1, epoch=epoch).labels for seed, epoch in ((1, 0), (0, 1))
    ]
    assert torch.equal(*same) and not any(torch.equal(same[0], one) for one in other)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["next_vector", "masked_vectors"])
def test_micro_batches_add_up_and_nothing_gives_nothing(name: str) -> None:
    """T6 and T7."""
    objective, module, data = begun(name)
    weights = list(module.parameters())

    def gradient(*samples: int) -> tuple[int, Tensor]:
        loss = objective.losses(module, read(data, *samples))["loss"]
        return loss.count, torch.cat([one.flatten() for one in torch.autograd.grad(loss.sum, weights)])

    (count, whole), parts = gradient(0, 1, 2, 3), [gradient(0, 1), gradient(2), gradient(3)]
    assert count == sum(part[0] for part in parts)
    close(sum((part[1] for part in parts), torch.zeros(())), whole, 1e-4)
    batch = read(data, 0, 1, 2, 3)
    nothing = replace(batch, labels=torch.full((4, 7), IGNORED))
    loss = objective.losses(module.train(), nothing)["loss"]
    assert (
        loss.count == 0 == objective.counts(nothing)["loss"]
        and float(loss.sum.detach()) == 0.0
        and loss.sum.requires_grad
    )
    assert objective.constant(module, [nothing]) is None


def test_the_best_constant_is_the_mean_vector() -> None:
    objective, module, data = begun("next_vector")
    vectors = torch.cat((data.tokens[0, 1:4], data.tokens[0, 5:7], data.tokens[1, 3:6], data.tokens[2, 1:]))
    found = objective.constant(module, [read(data, 0, 1), read(data, 2, 3)])
    assert found == pytest.approx(float(vectors.var(dim=0, correction=0).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "family", "changes", "said"),
    [
        (NextVector(), "series", {"looks": "both"}, "next_vector asks a model that looks back only"),
        (NextVector(), "series", {"tasks": ["hidden"]}, "asks a head 'next'"),
        (MaskedVectors(), "series", {}, "asks a head 'hidden'"),
        (NextVector(), "bert", {}, "asks a model of signals"),
        (NextVector(), "llama", {}, "asks an encoder"),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_why(
    objective: Objective, family: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        objective.check(Blueprint.of(family, "debug", **changes).build())


def test_settings_that_hide_nothing_or_all_are_refused() -> None:
    for share, length in ((0.0, 1), (1.0, 1), (0.5, 0)):
        with pytest.raises(ValueError, match=r"(share|stretch) = "):
            MaskedVectors(share, length)
    with pytest.raises(ValueError, match="no task is called 'last'"):
        model(tasks=["last"])


# ------------------------------------------------------------------------------------------------------------ a family


@torch.no_grad()
@pytest.mark.parametrize("looks", ["back", "both"])
def test_what_a_place_sees(looks: str) -> None:
    module, rows = model(looks=looks), torch.randn(1, 9, 3)
    changed = rows.clone()
    changed[:, 5] += 1.0
    before, after = module(rows)[0], module(changed)[0]
    assert [bool(torch.equal(before[0, t], after[0, t])) for t in range(9)] == [
        looks == "back" and t < 5 for t in range(9)
    ]
    lengths = torch.tensor([9, 4])
    for side in ("left", "right"):
        here = Layout.ragged(lengths, 9, side=side)
        batch = torch.full((2, 9, 3), 5.0)
        batch[0], batch[1, here.segments[1] == 1] = rows[0], rows[0, :4]  # type: ignore[index]
        got = module(batch, here)[0]
        close(got[0], before[0])
        close(got[1, here.segments[1] == 1], module(rows[:, :4])[0][0])  # type: ignore[index]


@pytest.mark.parametrize("name", ["next_vector", "masked_vectors"])
def test_it_learns_a_wave(name: str) -> None:
    """Better than the best constant, within seconds."""
    time = torch.arange(600)[:, None] * torch.tensor([0.3, 0.5])
    rows = torch.from_numpy(windows(time.sin().numpy(), 40).copy()) * math.sqrt(2)
    looks = dict(looks="back", tasks=["next"]) if name == "next_vector" else dict(looks="both", tasks=["hidden"])
    blueprint = Blueprint.of("series", "debug", channels=2, dropout=0.1, **looks)
    module, again = blueprint.build(seed=2).train(), blueprint.build(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))
    objective = OBJECTIVES.get(name)()
    objective.check(module)
    data = objective.turn_signals(Rows(rows), 0)
    optimiser = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for epoch in range(40 if name == "next_vector" else 160):
        batch = read(data, *range(len(rows)), epoch=epoch)
        loss = objective.losses(module, batch)["loss"]
        optimiser.zero_grad()
        (loss.sum / loss.count).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
        optimiser.step()
    batch = read(data, *range(len(rows)), epoch=99)
    loss, least = objective.losses(module.eval(), batch)["loss"], objective.constant(module, [batch])
    assert least is not None and float(loss.sum.detach()) / loss.count < 0.7 * least
