"""Perceiver IO: places beside vectors, latents that any length of input is looked at by, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from parts import CPU, close, randomised
from torch import Tensor, nn
from torch.nn import functional

import weft
from weft.batch import Batch
from weft.hub.error import LoadError
from weft.hub.fields import family_of, read_fields
from weft.hub.model import Model
from weft.models import Blueprint
from weft.models.places import Beside, Fourier, Trained
from weft.nn import Layout, RopeScheme
from weft.objectives.classes import Classes


def model(**changes: Any) -> nn.Module:
    return randomised(Blueprint.of("perceiver", "debug", **changes).build())


def scores(module: nn.Module, rows: Tensor, here: Layout | None = None) -> Tensor:
    return module.logits(module(rows, here)[0])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("grid", "bands", "resolution"), [((5,), 3, (9,)), ((3, 4), 2, (7, 10)), ((2, 3, 2), 1, (2,) * 3)]
)
def test_fourier_features_by_hand(grid: tuple[int, ...], bands: int, resolution: tuple[int, ...]) -> None:
    table = Fourier(grid, bands, resolution).table(CPU)
    assert table.shape == (math.prod(grid), len(grid) * (2 * bands + 1))
    for place, row in enumerate(table.tolist()):
        index, rest = [], place
        for size in reversed(grid):
            rest, own = divmod(rest, size)
            index.insert(0, own)
        at = [-1 + 2 * own / (size - 1) for own, size in zip(index, grid, strict=True)]
        speeds = [[1 + i * (size / 2 - 1) / max(bands - 1, 1) for i in range(bands)] for size in resolution]
        waves = [[math.pi * x * speed for x, own in zip(at, speeds, strict=True) for speed in own]]
        wanted = [*at, *map(math.sin, waves[0]), *map(math.cos, waves[0])]
        assert row == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("places", [Fourier((7,), 2, (7,)), Trained(7, 4), None], ids=["fourier", "trained", "none"])
def test_a_place_stands_beside_what_is_there(places: Any) -> None:
    stem, rows = Beside(3, lift=2, places=places), torch.randn(2, 5, 3)
    here = Layout.ragged(torch.tensor([3, 5]), 5, side="left")
    got = stem(rows, here)
    assert got.shape == (2, 5, stem.width) and isinstance(stem.lift, weft.nn.Linear)
    close(got[..., :2], rows @ stem.lift.weight.T + stem.lift.bias)  # type: ignore[operator]
    if places is not None:
        table = places.table(CPU)
        close(got[0, 2:, 2:], table[:3])
        close(got[1, :, 2:], table[:5])
    assert stem.context == (None if places is None else 7)


@torch.no_grad()
@pytest.mark.parametrize("where", ["fourier", "learned", "nothing"])
def test_a_row_does_not_feel_its_companions(where: str) -> None:
    """Ragged rows, padded on either side, whatever stands in the padding."""
    module, lengths = model(where=where, grid=[11], channels=3), torch.tensor([11, 1, 6])
    rows = torch.randn(3, 11, 3)
    alone = torch.cat([scores(module, rows[i : i + 1, :n]) for i, n in enumerate(lengths)])
    for side in ("left", "right"):
        here = Layout.ragged(lengths, 11, side=side)
        batch = torch.full_like(rows, 7.0)
        for i, n in enumerate(lengths):
            batch[i, here.segments[i] == 1] = rows[i, :n]  # type: ignore[index]
        close(scores(module, batch, here), alone)
    nothing = scores(module, rows, Layout(segments=torch.zeros(3, 11, dtype=torch.int64)))
    assert nothing.isfinite().all()


@torch.no_grad()
def test_packed_documents_are_one_row_to_the_latents() -> None:
    module, rows = model(where="nothing", channels=3), torch.randn(1, 6, 3)
    packed = Layout(segments=torch.tensor([[1, 1, 2, 2, 2, 0]]))
    close(scores(module, rows, packed), scores(module, rows[:, :5]))


@torch.no_grad()
def test_each_crossing_is_a_look_and_all_blocks() -> None:
    """The first Perceiver by hand: look, think, look, think."""
    twice, rows = model(crossings=2, skip=False), torch.randn(2, 36, 1)
    inputs = twice.embed(rows, Layout())
    memory = weft.nn.Memory(inputs, Layout())
    x = twice.latents(2)
    for _ in range(2):
        (look,) = twice.look.layers
        norm, attention = look.cross.pre, look.cross.branch
        q = attention.q(norm(x)).unflatten(-1, (attention.heads, -1))
        seen = attention.memory_norm(memory.states)
        k, v = (part(seen).unflatten(-1, (attention.heads, -1)) for part in (attention.k, attention.v))
        mixed = functional.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (q, k, v)))
        x = attention.out(mixed.transpose(1, 2).flatten(2))
        x = x + look.mlp.branch.down(functional.gelu(look.mlp.branch.up(look.mlp.pre(x))))
        for _ in range(2):
            for layer in twice.stack.layers:
                a = layer.attn.branch
                y = layer.attn.pre(x)
                own = [part(y).unflatten(-1, (a.heads, -1)).transpose(1, 2) for part in (a.q, a.k, a.v)]
                x = x + a.out(functional.scaled_dot_product_attention(*own).transpose(1, 2).flatten(2))
                x = x + layer.mlp.branch.down(functional.gelu(layer.mlp.branch.up(layer.mlp.pre(x))))
    bare = Blueprint.of("perceiver", "debug", crossings=2, skip=False, tasks=[]).build()
    kept = {name: t for name, t in twice.state_dict().items() if name in bare.state_dict()}
    bare.load_state_dict(kept)
    close(bare(rows)[0], x, 1e-4)


@pytest.mark.parametrize("size", ["debug", "small"])
def test_it_trains_on_rows_of_vectors(size: str) -> None:
    blueprint = Blueprint.of("perceiver", size, dropout=0.1)
    module, again = blueprint.build(seed=3).train(), blueprint.build(seed=3)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))
    rows = torch.randn(3, module.context, 1)  # type: ignore[arg-type]
    batch = Batch(rows, asked={"label": torch.tensor([0, 4, 2])})
    loss = Classes().losses(module, batch)["loss"]
    guess = math.log(blueprint.config.classes)
    assert loss.count == 3 and float(loss.sum.detach()) / 3 == pytest.approx(guess, rel=0.2)
    loss.sum.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_under_autocast_it_runs_in_bf16_and_stays_near() -> None:
    module, rows = Blueprint.of("perceiver", "debug").build(), torch.randn(2, 36, 1)
    exact = scores(module, rows)
    with torch.autocast("cpu", torch.bfloat16):
        near = scores(module, rows)
    assert near.dtype == torch.bfloat16
    assert float((near.detach().float() - exact.detach()).norm() / exact.detach().norm()) < 0.1


# ---------------------------------------------------------------------------------------------------------- refusals


def test_rows_that_it_cannot_read() -> None:
    module = model()
    for rows in (
        torch.zeros(2, 36, dtype=torch.int64),
        torch.randn(2, 36, 2),
        torch.zeros(2, 36, 1, dtype=torch.int64),
    ):
        with pytest.raises(ValueError, match="reads vectors of 1 numbers"):
            module(rows)
    with pytest.raises(ValueError, match="37 tokens, .* end at 36"):
        module(torch.randn(1, 37, 1))
    with pytest.raises(ValueError, match="vectors have none"):
        module(torch.randn(1, 36, 1), None, torch.zeros(1, 36, dtype=torch.int64))
    assert model(where="nothing")(torch.randn(1, 99, 1))[0].isfinite().all()  # such rows may be of any length


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"v_width": 24}, "v_width = 24 makes values of 24 numbers, .* latents of 48"),
        ({"qk_width": 24}, "qk_width = 24 makes values of 24 numbers"),
        ({"cross_heads": 3}, "3 heads do not divide the width 23 of queries and keys"),
        ({"heads": 5}, "5 heads do not divide the width 48"),
        ({"grid": []}, r"grid = \(\)"),
        ({"grid": [3, 0]}, r"grid = \(3, 0\)"),
        ({"grid": [10**6, 10**6]}, "2\\*\\*31"),
        ({"resolution": [4]}, "a resolution for each coordinate"),
        ({"tasks": ["masked"]}, "there is the task classes"),
        ({"latents": 0}, "latents = 0"),
    ],
)
def test_settings_that_cannot_be_a_model(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Blueprint.of("perceiver", "debug", **changes).build()


def test_a_position_scheme_is_refused_by_name() -> None:
    for family in ("perceiver", "perceiver_text"):
        blueprint = Blueprint.of(family, "debug")
        with pytest.raises(ValueError, match="position = RopeScheme"):
            Blueprint(family, blueprint.config, position=RopeScheme()).build()


# ------------------------------------------------------------------------------------------------- published folders


def test_of_two_families_of_one_model_type_the_class_says_which() -> None:
    for kind, family in (
        ("PerceiverForMaskedLM", "perceiver_text"),
        ("PerceiverModel", "perceiver"),
        (None, "perceiver"),
    ):
        assert family_of("perceiver", None if kind is None else [kind])[0].name == family


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architectures": ["PerceiverForOpticalFlow"]}, "PerceiverForOpticalFlow"),
        ({"num_latent": 7}, "'num_latent'"),
        ({"cross_attention_shape_for_attention": "v"}, "understood are kv, q"),
        ({"hidden_act": "sine"}, "hidden_act is 'sine'"),
    ],
)
def test_what_is_not_understood_of_a_config_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_fields({"model_type": "perceiver", "architectures": ["PerceiverModel"]} | fields)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        (
            dict(where="learned", channels=3, lift=256, cross_heads=2, bands=64),
            "PerceiverForImageClassificationLearned",
        ),
        (dict(where="fourier", channels=3, bands=64, resolution=[224, 224]), "PerceiverForImageClassificationFourier"),
        (dict(where="nothing", channels=20, tasks=[], grid=[40], classes=1000, bands=64), "PerceiverModel"),
        (dict(where="fourier", channels=3, bands=8), None),
        (dict(where="learned", channels=3, lift=256, crossings=2), None),
        (dict(where="fourier", channels=3, bands=64, resolution=[224, 224], grid=[4, 5]), None),
        (dict(where="nothing", channels=20), None),
    ],
)
def test_a_model_of_our_own_is_written_as_the_class_that_it_is(
    changes: dict[str, Any], kind: str | None, tmp_path: Path
) -> None:
    """Or in weft's own layout, where the reference has none."""
    blueprint = Blueprint.of("perceiver", "debug", **changes)
    module = blueprint.build(seed=2)
    weft.save(Model(module, blueprint, None), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.get("architectures") == (None if kind is None else [kind])
    again = weft.load(tmp_path)
    assert again.blueprint == blueprint
    assert all(torch.equal(a, b) for a, b in zip(again.module.parameters(), module.parameters(), strict=True))
    if kind is not None:
        transformers = pytest.importorskip("transformers")
        _, told = getattr(transformers, kind).from_pretrained(tmp_path, output_loading_info=True)
        assert not any(told.values())


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_of_another_class_is_named(tmp_path: Path) -> None:
    blueprint = Blueprint.of("perceiver", "debug", where="learned", channels=3, lift=256, cross_heads=1, bands=64)
    weft.save(Model(blueprint.build(), blueprint, None), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["PerceiverForImageClassificationFourier"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match=r"has perceiver\.input_preprocessor\.convnet_1x1"):
        weft.load(tmp_path)
