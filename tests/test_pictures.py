"""What reads pictures: what is refused, what is pooled, and what stands before the patches."""

import math
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from odd.pictures import Hidden, Pictures
from published_cases import CASES, reference
from torch import Tensor, nn
from torch.nn import functional

import weft
from weft.batch import Batch
from weft.files import read_tensors, write_tensors
from weft.generate import GREEDY, generate
from weft.hub.changed import stretch
from weft.hub.fields import read_fields, write_fields
from weft.models import Blueprint
from weft.nn import Causal, Context, Decoder, Encoder, Field, Full, Layout, Position
from weft.nn.depth import DropBranch
from weft.objectives import OBJECTIVES, TERM
from weft.objectives.patches_hidden import PLACES, VECTORS, HiddenPatches
from weft.recipes.recipe import with_heads
from weft.settings import SettingError

CLASSES = ("vit", "deit")
PATCHED = (*CLASSES, "mae")


def rows(blueprint: Blueprint, count: int = 3, seed: int = 0) -> torch.Tensor:
    """Images of noise, in patches [B, P, C]."""
    c = blueprint.config
    return torch.randn(count, c.context, c.channels * c.patch**2, generator=torch.Generator().manual_seed(seed))


def encoder(blueprint: Blueprint, seed: int = 0) -> Encoder:
    module = blueprint.build(seed=seed)
    assert isinstance(module, Encoder)
    return module


def stir(module: nn.Module, seed: int = 0) -> None:
    """Every parameter random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)


@pytest.mark.parametrize("name", CLASSES)
def test_it_is_drawn_by_its_seed_and_learns_everywhere(name: str) -> None:
    blueprint = Blueprint.of(name, "debug", dropout=0.1, branch_dropout=0.2)
    one, same, other = (blueprint.build(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one) and any(not torch.equal(one[k], other[k]) for k in one)
    module = encoder(blueprint).train()
    torch.manual_seed(0)
    hidden, _ = module(rows(blueprint, 8))
    module.nats(hidden, torch.arange(8) % 5, "classes").backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


@pytest.mark.parametrize("name", PATCHED)
def test_what_cannot_be_a_model_is_refused(name: str) -> None:
    for changes, said in (
        (dict(image=13), "no whole number of patches"),
        (dict(tasks=["masked"]), "no task is called 'masked'"),
        (dict(dense=True, tasks=["classes"]), "leave one out"),
        (dict(branch_dropout=1.0), "below 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Blueprint.of(name, "debug", **changes).build()


@pytest.mark.parametrize("name", PATCHED)
def test_other_than_its_vectors_are_refused(name: str) -> None:
    module, given = encoder(Blueprint.of(name, "debug")), rows(Blueprint.of(name, "debug"))
    for wrong in (given[..., :-1], torch.zeros(2, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="make them with its processor"):
            module(wrong)
    with pytest.raises(ValueError, match="10 tokens, but the trained positions end at 9"):
        module(torch.cat((given, given[:, :1]), dim=1))


@pytest.mark.parametrize("pool", ["first", "mean", "weighed"])
def test_what_a_picture_is_read_of(pool: str) -> None:
    blueprint = Blueprint.of("vit", "debug", pool=pool)
    module = encoder(blueprint)
    stir(module)
    hidden, _ = module(rows(blueprint))
    assert hidden.shape == (3, 9 + (pool == "first"), 48)
    got = module.pool(hidden)
    if pool == "weighed":
        weight, bias = (module.get_parameter(f"pooler.out.{part}") for part in ("weight", "bias"))
        wanted = torch.stack([(row @ weight[0] + bias).softmax(dim=0) @ row for row in hidden])
    else:
        wanted = hidden[:, 0] if pool == "first" else hidden.mean(dim=1)
    torch.testing.assert_close(got, wanted)
    assert (write_fields(blueprint) is None) == (pool != "first")


def test_the_classes_of_deit_are_the_mean_of_two_heads_of_two_tokens() -> None:
    blueprint = Blueprint.of("deit", "debug", taught=True)
    module = encoder(blueprint)
    stir(module)
    hidden, _ = module(rows(blueprint))
    assert hidden.shape == (3, 2 + 9, 48)
    head = module.heads["classes"]
    by_class = hidden[:, 0] @ head.first.weight.T + head.first.bias  # type: ignore[union-attr, operator]
    by_teacher = hidden[:, 1] @ head.second.weight.T + head.second.bias  # type: ignore[union-attr, operator]
    torch.testing.assert_close(module.logits(hidden), (by_class + by_teacher) / 2)
    for got, wanted in zip(head.each(hidden), (by_class, by_teacher), strict=True):  # type: ignore[operator]
        torch.testing.assert_close(got, wanted)
    objective = OBJECTIVES.get("classes")()
    assert "classes" in module.heads and objective.heads == ("classes",)


def test_which_class_of_the_references_a_deit_is_written_as() -> None:
    for changes, kind in (
        (dict(taught=True), "DeiTForImageClassificationWithTeacher"),
        (dict(taught=False), "DeiTForImageClassification"),
        (dict(taught=False, tasks=[], dense=True), "DeiTModel"),
    ):
        written = write_fields(Blueprint.of("deit", "debug", **changes))
        assert written is not None and written["architectures"] == [kind]
    changed = Blueprint.of("deit", "debug", taught=True)
    origin = write_fields(Blueprint.of("deit", "debug", taught=False))
    written = write_fields(changed, origin)
    assert written is not None and written["architectures"] == ["DeiTForImageClassificationWithTeacher"]


@pytest.mark.parametrize("name", PATCHED)
def test_what_is_not_understood_of_a_config_is_named(name: str) -> None:
    kind = {"mae": "vit_mae"}.get(name, name)
    for field, value in (("pooler_act", "relu"), ("pooler_output_size", 7), ("use_mask_token", True)):
        with pytest.raises(ValueError, match=field):
            read_fields({"model_type": kind, field: value})
    with pytest.raises(ValueError, match="MaskedImageModeling"):
        read_fields({"model_type": kind, "architectures": ["DeiTForMaskedImageModeling"]})
    kept = write_fields(Blueprint.of(name, "debug", branch_dropout=0.3))
    assert kept is not None and read_fields(kept).blueprint.config.branch_dropout == 0.3


def test_a_branch_is_dropped_whole_and_more_often_the_deeper_it_lies() -> None:
    rates = [DropBranch.at(0.4, layer, 5) for layer in range(5)]
    assert rates[0] is None and [part.rate for part in rates if part] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert DropBranch.at(0.0, 3, 5) is None and DropBranch.at(0.4, 0, 1) is None
    drop, x = DropBranch(0.25), torch.ones(4000, 2, 3)
    assert drop.eval()(x) is x
    torch.manual_seed(0)
    rows = drop.train()(x)
    assert set(rows.flatten(1).sum(dim=1).tolist()) == {0.0, 8.0}  # all or nothing: 6 / (1 - 0.25)
    assert float((rows == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


# -------------------------------------------------------------------------------------------- patches that are hidden


def some(blueprint: Blueprint, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """All patches [3, P, C], and those that are seen [3, V, C] with their places [3, V]."""
    given, visible = rows(blueprint, seed=seed), blueprint.config.visible
    noise = torch.rand(given.shape[:2], generator=torch.Generator().manual_seed(seed))
    order = noise.argsort(dim=1)[:, :visible]
    return given, given.gather(1, order[..., None].expand(-1, -1, given.shape[-1])), order


def hiding(given: Tensor, seen: Tensor, order: Tensor) -> Batch:
    """Patches [B, P, C] of which those at `order` are seen, as the objective asks for the others."""
    hidden = torch.ones(given.shape[:2]).scatter(1, order, 0).nonzero()[:, 1].view(len(given), -1)  # [B, P - V]
    told = given.gather(1, hidden[..., None].expand(-1, -1, given.shape[-1]))
    return Batch(seen, order=order, asked={PLACES: hidden, VECTORS: told})


def painted(module: nn.Module, seen: Tensor, order: Tensor | None) -> Tensor:
    hidden, _ = module(seen, None if order is None else Layout(order=order))
    return module.heads["patches"](hidden, order=order)  # type: ignore[index]


def test_patches_are_painted_wherever_they_are_and_in_whatever_order_they_were_seen() -> None:
    blueprint = Blueprint.of("mae", "debug", hidden_share=0.5)
    module = encoder(blueprint).double()
    stir(module)
    _, seen, order = some(blueprint)
    got, turn = painted(module, seen.double(), order), torch.tensor([2, 0, 3, 1])
    assert got.shape == (3, 9, 16) and order.shape == (3, 4)
    torch.testing.assert_close(got, painted(module, seen[:, turn].double(), order[:, turn]))
    # by the definition: one vector for each patch that was not seen
    head, (hidden, _) = module.heads["patches"], module(seen.double(), Layout(order=order))
    every = head.mask.expand(3, 9, -1).clone()  # type: ignore[union-attr, operator]
    for row in range(3):
        for number, place in enumerate(order[row]):
            every[row, place] = head.lift(hidden[row, 1 + number])  # type: ignore[union-attr, operator]
    x = torch.cat((head.lift(hidden[:, :1]), every), dim=1) + head.position.weight  # type: ignore[union-attr, operator]
    x, _ = head.stack(x, Context(Layout()))  # type: ignore[union-attr, operator]
    wanted = head.out(x[:, 1:]).view(3, 9, 16, 1).transpose(2, 3).flatten(2)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(got, wanted)


def test_all_patches_may_be_seen_and_their_number_is_checked() -> None:
    blueprint = Blueprint.of("mae", "debug")
    module, (given, seen, order) = encoder(blueprint), some(blueprint)
    every = torch.arange(9).expand(3, -1)
    torch.testing.assert_close(painted(module, given, None), painted(module, given, every))
    torch.testing.assert_close(module.logits(module(given)[0]), painted(module, given, None))
    with pytest.raises(ValueError, match="states of 2 of 9 patches and no places"):
        painted(module, seen, None)
    hidden, _ = module(seen, Layout(order=order))
    with pytest.raises(ValueError, match="say of each where it stands"):
        module.heads["patches"](hidden, order=every)
    with pytest.raises(ValueError, match="no probability"):
        module.nats(hidden, every)


def test_what_was_given_by_places_alone_builds_no_mask() -> None:
    here = Layout(order=torch.tensor([[0, 3, 2]]))
    assert Field(Position(), Full()).among(here, 3, torch.device("cpu")).allowed is None
    assert Field(Position(), Causal()).among(here, 3, torch.device("cpu")).allowed is not None
    padded = Layout(order=here.order, segments=torch.tensor([[1, 1, 0]]))
    assert Field(Position(), Full()).among(padded, 3, torch.device("cpu")).allowed is not None


def test_fixed_positions_are_waves_of_columns_and_of_rows() -> None:
    table = Blueprint.of("mae", "debug", width=24).build().get_buffer("embed.position.weight")
    assert table.shape == (10, 24) and not table[0].any()
    for patch in range(9):
        waves = [
            wave(place / 10000 ** (pair / 6))
            for place in (patch % 3, patch // 3)
            for wave in (math.sin, math.cos)
            for pair in range(6)
        ]
        torch.testing.assert_close(table[1 + patch], torch.tensor(waves))
    head = Blueprint.of("mae", "debug").build(seed=3).heads["patches"].position  # type: ignore[index, union-attr]
    kept = head.weight.clone()  # type: ignore[union-attr, operator]
    head.weight.zero_()  # type: ignore[union-attr, operator]
    head.reset()  # type: ignore[union-attr, operator]
    assert torch.equal(head.weight, kept)  # type: ignore[union-attr]


def test_mae_learns_everywhere_but_in_its_fixed_tables() -> None:
    blueprint = Blueprint.of("mae", "debug", dropout=0.1, hidden_share=0.5)
    module, (given, seen, order) = encoder(blueprint).train(), some(blueprint)
    torch.manual_seed(0)
    HiddenPatches().losses(module, hiding(given, seen, order))[TERM].sum.backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key
    tables = {"embed.position.weight", "heads.patches.position.weight"}
    assert {key for key, _ in module.named_buffers()} == tables and tables <= module.state_dict().keys()


def test_an_encoder_that_was_trained_on_hidden_patches_can_be_asked_for_classes() -> None:
    blueprint = Blueprint.of("mae", "debug", tasks=["classes"], classes=5)
    module = encoder(blueprint)
    assert module.logits(module(rows(blueprint))[0]).shape == (3, 5)
    assert write_fields(blueprint) is None  # the reference has no such class


def test_masks_that_leave_nothing_and_widths_that_have_no_quarters_are_refused() -> None:
    for changes, said in ((dict(hidden_share=0.9), "leaves none"), (dict(width=30, heads=5), "quarters of a width")):
        with pytest.raises(ValueError, match=said):
            Blueprint.of("mae", "debug", **changes).build()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES["mae"][:2], ids=str)
def test_the_loss_and_tables_of_any_numbers_are_the_references(case: Any, tmp_path: Path) -> None:
    """The tables of positions learn nothing, so that the published cases leave them as they are made."""
    pytest.importorskip("transformers")
    theirs = reference(case)
    places = (theirs.vit.embeddings.position_embeddings, theirs.decoder.decoder_pos_embed)
    for number, table in enumerate(places):
        table.data.normal_(generator=torch.Generator().manual_seed(number))
    theirs.save_pretrained(tmp_path)
    module, given = weft.load(tmp_path).module, Hidden.of(theirs.config)
    wanted = theirs(pixel_values=given.pixels, noise=given.noise)
    got, (_, order) = given.ours(module), given.seen(module)
    off = (got - given.theirs(theirs)).abs().max() / wanted.logits.std()
    assert off <= 1e-5
    every = Hidden(given.pixels, given.patch, given.noise, given.noise.shape[1]).seen(module)
    patches = torch.zeros_like(every[0]).scatter(1, every[1][..., None].expand_as(every[0]), every[0])
    objective = HiddenPatches(normalise=theirs.config.norm_pix_loss)
    loss = objective.losses(module, hiding(patches, *given.seen(module)))[TERM]
    assert loss.count == given.noise.numel() - order.numel()
    torch.testing.assert_close(loss.sum / loss.count, wanted.loss, rtol=1e-5, atol=0)


def test_a_standardised_patch_has_mean_0_and_variance_1() -> None:
    patches = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0)) * 5 + 2
    made = HiddenPatches().told(Batch(patches, asked={VECTORS: patches.bfloat16()}))
    assert made.dtype == torch.float32
    torch.testing.assert_close(made.mean(dim=-1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(made.var(dim=-1), torch.ones(2, 3), rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("ignore")
def test_names_of_either_version_of_the_references_decoder_are_read(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    reference(CASES["mae"][0]).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors, begin = read_tensors(path), "decoder.decoder_encoder.layer."
    assert any(name.startswith(begin) for name in tensors)  # as version 5 writes them
    first = weft.load(tmp_path).module.state_dict()
    first = {name: tensor.clone() for name, tensor in first.items()}
    renamed = {name.replace(begin, "decoder.decoder_layers."): tensor.clone() for name, tensor in tensors.items()}
    path.unlink()
    write_tensors(path, renamed)
    again = weft.load(tmp_path).module.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first) and first.keys() == again.keys()


# --------------------------------------------------------------------------------------------------- pixels as colours


def test_the_id_that_begins_an_image_is_read_and_never_written() -> None:
    blueprint = Blueprint.of("imagegpt", "debug")
    module, start = blueprint.build(), blueprint.config.vocab - 1
    assert isinstance(module, Decoder) and (module.head.vocab, module.embed.vocab) == (8, 9)
    stir(module)
    made = generate(module, [[start], [start, 3, 5], [start]], new=13, sampling=GREEDY)
    assert made[0].ids == made[2].ids and all(0 <= id < start for row in made for id in row.ids)
    for prompt, row in zip(([start], [start, 3, 5]), made, strict=False):
        ids = [*prompt]
        while len(ids) < len(prompt) + 13:  # without a cache
            hidden, _ = module(torch.tensor([ids]))
            ids.append(int(module.logits(hidden)[0, -1].argmax()))
        assert tuple(ids[len(prompt) :]) == row.ids


def test_image_gpt_learns_to_write_colours_after_the_id_that_begins() -> None:
    blueprint = Blueprint.of("imagegpt", "debug", dropout=0.1)
    module = blueprint.build().train()
    colours = torch.randint(0, 8, (3, 16), generator=torch.Generator().manual_seed(0))
    rows = torch.cat((torch.full((3, 1), 8), colours[:, :-1]), dim=1)
    hidden, _ = module(rows)
    module.nats(hidden, colours).backward()  # type: ignore[operator]
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key
    with pytest.raises(ValueError, match="a colour beside it"):
        Blueprint.of("imagegpt", "debug", vocab=1).build()


def test_what_is_not_understood_of_image_gpt_is_named() -> None:
    for field, value in (("tie_word_embeddings", True), ("scale_attn_by_inverse_layer_idx", True)):
        with pytest.raises(ValueError, match=field):
            read_fields({"model_type": "imagegpt", field: value})
    with pytest.raises(ValueError, match="ImageGPTForImageClassification"):
        read_fields({"model_type": "imagegpt", "architectures": ["ImageGPTForImageClassification"]})


# ----------------------------------------------------------------------------- tokens that convolutions make of pixels


def convolved(module: Encoder, c: Any, pixels: Tensor) -> Tensor:
    """CCT's classes of images [B, channels, image, image], by its definition (torch's own layers)."""
    state, x = {name: tensor.double() for name, tensor in module.state_dict().items()}, pixels.double()
    for number in range(c.convolutions):
        x = functional.conv2d(x, state[f"embed.kernels.{number}"], stride=c.stride, padding=c.kernel // 2)
        x = nn.MaxPool2d(3, 2, 1)(torch.relu(x))
    x = x.flatten(2).transpose(1, 2) + state["embed.position.weight"]

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (c.width,), state[f"{name}.weight"], state[f"{name}.bias"], c.eps)

    for layer in (f"stack.layers.{number}" for number in range(c.depth)):
        looks, read = f"{layer}.attn.branch", norm(x, f"{layer}.attn.pre")
        q, k, v = (linear(read, f"{looks}.{way}").unflatten(-1, (c.heads, -1)).transpose(1, 2) for way in "qkv")
        weights = (q @ k.mT * (c.width // c.heads) ** -0.5).softmax(dim=-1)
        x = norm(x + linear((weights @ v).transpose(1, 2).flatten(2), f"{looks}.out"), f"{layer}.attn.after")
        x = x + linear(functional.gelu(linear(x, f"{layer}.mlp.branch.up")), f"{layer}.mlp.branch.down")
    x = norm(x, "stack.norm")
    pooled = torch.stack([linear(row, "pooler.out").softmax(dim=0).T @ row for row in x])[:, 0]
    return linear(pooled, "heads.classes.out")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict(convolutions=1, channels=3, image=9),
        dict(kernel=7, stride=2, image=33, inner=7, heads=3),
        dict(kernel=5),
    ],
    ids=str,
)
def test_cct_is_what_its_definition_says(changes: dict[str, Any]) -> None:
    blueprint = Blueprint.of("cct", "debug", **changes)
    module, c = encoder(blueprint).double(), blueprint.config
    stir(module)
    pixels = torch.randn(3, c.channels, c.image, c.image, generator=torch.Generator().manual_seed(1))
    hidden, _ = module(pixels.flatten(2).mT.double())
    assert hidden.shape == (3, c.side**2, c.width) and c.context == c.image**2
    wanted = convolved(module, c, pixels)
    assert float((module.logits(hidden) - wanted).detach().abs().max() / wanted.std()) < 1e-10


def test_cct_learns_everywhere_and_begins_by_its_seed() -> None:
    blueprint = Blueprint.of("cct", "debug", dropout=0.1)
    one, same, other = (blueprint.build(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one) and any(not torch.equal(one[k], other[k]) for k in one)
    module, (weight, kernel) = encoder(blueprint).train(), (one["embed.position.weight"], one["embed.kernels.1"])
    assert float(weight.std()) == pytest.approx(0.2, rel=0.1)
    assert float(kernel.std()) == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.1)
    torch.manual_seed(0)
    hidden, _ = module(rows(blueprint, 8))
    module.nats(hidden, torch.arange(8) % 5, "classes").backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or key == "pooler.out.bias", key  # what all weights have in common


def test_cct_reads_whole_images_of_pixels_and_nothing_else() -> None:
    blueprint = Blueprint.of("cct", "debug")
    module, given = encoder(blueprint), rows(blueprint)
    for wrong, here, said in (
        (given[:, :-1], None, "all 144 pixels of an image in their order, not 143 pixels"),
        (given, Layout(segments=torch.ones(3, 144, dtype=torch.int64)), "places of their own, or padding"),
        (given.expand(-1, -1, 3), None, "reads pixels"),
        (torch.zeros(3, 144, dtype=torch.int64), None, "reads pixels"),
    ):
        with pytest.raises(ValueError, match=said):
            module(wrong, here)
    with pytest.raises(ValueError, match="pixels have none"):
        module(given, types=torch.zeros(3, 144, dtype=torch.int64))
    for changes, said in ((dict(patch=2), "one by one"), (dict(kernel=4), "one by one"), (dict(tasks=["x"]), "alone")):
        with pytest.raises(ValueError, match=said):
            Blueprint.of("cct", "debug", **changes).build()


def test_cct_is_kept_in_a_folder_of_ours(tmp_path: Path) -> None:
    blueprint = Blueprint.of("cct", "debug")
    model = weft.Model(blueprint.build(seed=3), blueprint)
    weft.save(model, tmp_path)
    again = weft.load(tmp_path)
    assert again.blueprint == blueprint
    given, (one, other) = rows(blueprint), (model.module, again.module)
    assert torch.equal(one(given)[0], other(given)[0])


@pytest.mark.parametrize("name", [*PATCHED, "cct"])
@pytest.mark.parametrize("scheme", ["none", "rope", "alibi", "t5", "shaw"])
def test_any_scheme_of_positions_goes_with_pictures(name: str, scheme: str) -> None:
    blueprint = Blueprint.of(name, "debug").change("position", scheme)
    module = blueprint.build()
    assert module(rows(blueprint))[0].isfinite().all()


# ------------------------------------------------------------------------------------------- images of another size


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PATCHED)
@pytest.mark.parametrize("patches_of_a_side", [2, 3, 7, 9])
def test_a_model_for_another_size_is_the_references_there(name: str, patches_of_a_side: int, tmp_path: Path) -> None:
    """Also as the reference reads it, once it is saved at that size."""
    pytest.importorskip("transformers")
    case = CASES[name][-1 if name == "mae" else 0]
    theirs = reference(case)
    theirs.base_model.embeddings.position_embeddings.data.normal_(generator=torch.Generator().manual_seed(5))
    theirs.save_pretrained(tmp_path / "theirs")
    image, config = patches_of_a_side * theirs.config.patch_size, copy(theirs.config)
    config.image_size = image
    given = (Hidden if name == "mae" else Pictures).of(config)
    model = weft.load(tmp_path / "theirs")
    other = model.resized(image)
    theirs.forward = partial(theirs.forward, interpolate_pos_encoding=True)
    wanted, got = given.theirs(theirs), given.ours(other.module)
    assert float((got - wanted).detach().abs().max() / wanted.detach().std()) <= 1e-5
    assert other.config.image == image and model.config.image == case.fields["image_size"]
    weft.save(other, tmp_path / "ours")
    again, told = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(told.values()) and again.config.image_size == image
    assert float((given.theirs(again) - wanted).detach().abs().max() / wanted.detach().std()) <= 1e-5


def test_a_model_of_the_same_size_is_the_same_and_another_is_a_copy() -> None:
    for name in (*PATCHED, "cct"):
        blueprint = Blueprint.of(name, "debug")
        model = weft.Model(blueprint.build(), blueprint)
        same, larger = model.resized(12), model.resized(24)
        state = model.module.state_dict()
        assert all(torch.equal(state[key], tensor) for key, tensor in same.module.state_dict().items())
        assert same.notices == () and "embed.position.weight" in larger.notices[0]
        moved = larger.module.state_dict()
        assert {key for key in state if state[key].shape != moved[key].shape} >= {"embed.position.weight"}
        assert larger.module(rows(larger.blueprint))[0].isfinite().all()
        with torch.no_grad():
            next(larger.module.parameters()).zero_()
        assert next(model.module.parameters()).any()


def test_what_stands_before_the_patches_is_kept_and_a_flat_table_stays_flat() -> None:
    table = torch.randn(2 + 16, 5, generator=torch.Generator().manual_seed(0))
    table[2:] = torch.arange(5.0)
    made = stretch(table, 2 + 49, 2)
    assert made.shape == (51, 5) and torch.equal(made[:2], table[:2])
    torch.testing.assert_close(made[2:], torch.arange(5.0).expand(49, -1))
    assert stretch(table.bfloat16(), 2 + 9, 2).dtype == torch.bfloat16
    for rows_, before in ((51, 1), (50, 2), (2, 2)):
        with pytest.raises(ValueError, match="no squares of places"):
            stretch(table, rows_, before)


def test_sizes_that_do_not_fit_are_refused() -> None:
    blueprint = Blueprint.of("vit", "debug")
    model = weft.Model(blueprint.build(), blueprint)
    with pytest.raises(ValueError, match="image = 13 pixels are no whole number of patches of 4"):
        model.resized(13)
    text = Blueprint.of("gpt2", "debug")
    with pytest.raises(SettingError, match="image"):
        weft.Model(text.build(), text).resized(12)
    low = Blueprint.of("vit", "debug").change("attention", "low_rank")
    with pytest.raises(ValueError, match=r"core.* would be"):
        weft.Model(low.build(), low).resized(24)


@pytest.mark.parametrize("name", [*PATCHED, "cct"])
def test_every_family_of_pictures_is_asked_for_classes_by_its_own_head(name: str) -> None:
    blueprint = with_heads(Blueprint.of(name, "debug", classes=5), ("classes",))
    assert blueprint.config.tasks == ("classes",)
    batch = Batch(rows(blueprint, 4), asked={"label": torch.tensor([0, 3, 4, 1])})
    for objective in (OBJECTIVES.get("classes")(), OBJECTIVES.get("classes")(smoothing=0.1)):
        module = objective.wrap(blueprint.build(), blueprint, 0, lambda folder: nn.Identity())
        assert isinstance(module, Encoder)  # nothing was put beside it
        with torch.autocast("cpu", torch.bfloat16):
            losses = objective.losses(module.train(), batch)
        total = torch.stack([loss.sum for loss in losses.values()]).sum()
        total.backward()
        assert total.isfinite() and all(parameter.grad is not None for parameter in module.parameters())


def test_hidden_patches_are_painted_in_half_precision_too() -> None:
    blueprint = Blueprint.of("mae", "debug")
    module, (_, seen, order) = encoder(blueprint), some(blueprint)
    with torch.autocast("cpu", torch.bfloat16):
        assert painted(module, seen, order).isfinite().all()
    assert painted(module.bfloat16(), seen.bfloat16(), order).dtype == torch.bfloat16


@pytest.mark.parametrize("name", [*PATCHED, "cct"])
@pytest.mark.parametrize("kind", ["window", "low_rank", "linear", "block_global"])
def test_any_kind_of_attention_goes_with_pictures(name: str, kind: str) -> None:
    blueprint = Blueprint.of(name, "debug").change("attention", kind)
    assert blueprint.build()(rows(blueprint))[0].isfinite().all()
