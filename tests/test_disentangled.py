"""Disentangled attention: places that are counted and places that are given, and a convolution beside a block."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weft.models import Blueprint
from weft.nn import Layout


def model(family: str, **changes: Any) -> nn.Module:
    """Every parameter random."""
    module = Blueprint.of(family, "debug", **changes).build()
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return module


def tokens(rows: int, length: int) -> Tensor:
    return torch.randint(131, (rows, length), generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("family", ["deberta", "deberta_v2"])
@pytest.mark.parametrize("terms", [["c2p"], ["p2c"], ["p2c", "c2p"]])
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 150])
@torch.no_grad()
def test_columns_are_places_that_are_written_out(family: str, terms: list[str], length: int) -> None:
    """Products in a line, and a gather: rows longer than the table reaches, too."""
    module, given = model(family, terms=terms), tokens(2, length)
    counted, _ = module(given)
    gathered, _ = module(given, Layout(order=torch.arange(length)[None]))
    assert float((counted - gathered).abs().max()) <= 1e-5 * max(float(gathered.std()), 0.1)


@torch.no_grad()
def test_only_distance_counts_and_it_does() -> None:
    module, given, order = model("deberta"), tokens(1, 12), torch.arange(12)[None]
    near, _ = module(given)
    moved, _ = module(given, Layout(order=order + 5))
    stretched, _ = module(given, Layout(order=order * 3))
    assert torch.allclose(near, moved, atol=1e-4) and not torch.allclose(near, stretched, atol=1e-2)


@torch.no_grad()
def test_a_convolution_reads_no_padding_and_no_other_document() -> None:
    module = model("deberta_v2", kernel=5, depth=1)
    given = tokens(1, 9)
    alone, _ = module(given[:, :6])
    for last in (0, 2):  # padding, and another document
        packed = Layout(segments=torch.tensor([[1] * 6 + [last] * 3]))
        assert torch.allclose(module(given, packed)[0][:, :6], alone, atol=1e-4)


def test_what_cannot_be_is_refused_with_its_numbers() -> None:
    for changes, words in (
        (dict(kernel=4), "kernel = 4"),
        (dict(buckets=1), "buckets = 1"),
        (dict(terms=["p2p"]), "p2p"),
        (dict(terms=["c2p", "c2p"]), "once"),
    ):
        with pytest.raises(ValueError, match=words):
            Blueprint.of("deberta_v2", "debug", **changes).build()
