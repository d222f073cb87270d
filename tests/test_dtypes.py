"""The dtype and the device of what is loaded, and the dtype of what is saved again."""

from pathlib import Path

import pytest
import torch

import weft
from weft.data import Bytes
from weft.files import read_tensors
from weft.hub import LoadError, Model
from weft.models import Blueprint

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def saved(folder: Path, dtype: str) -> Path:
    blueprint = Blueprint.of("llama", "debug").change("vocab", "384")
    weft.save(Model(blueprint.build(seed=3), blueprint, Bytes()), folder, dtype=dtype)
    return folder


@pytest.mark.parametrize("asked", [None, *DTYPES, torch.bfloat16])
@pytest.mark.parametrize("file", DTYPES)
def test_weights_are_of_the_dtype_asked_for_and_go_back_in_the_file_s(file: str, asked: object, tmp_path: Path) -> None:
    folder = saved(tmp_path / "file", file)
    model = weft.load(folder, dtype=asked)  # type: ignore[arg-type]
    wanted = torch.float32 if asked is None else DTYPES.get(str(asked), asked)
    assert {tensor.dtype for tensor in model.module.state_dict().values()} == {wanted}
    weft.save(model, tmp_path / "again")
    before, after = (read_tensors(there / "model.safetensors") for there in (folder, tmp_path / "again"))
    assert before.keys() == after.keys() and {tensor.dtype for tensor in after.values()} == {DTYPES[file]}
    if wanted in (torch.float32, DTYPES[file]):  # it holds what the file holds
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_loading_as_a_narrower_dtype_rounds_as_torch_does(tmp_path: Path) -> None:
    folder = saved(tmp_path, "fp32")
    exact, narrow = (weft.load(folder, dtype=dtype).module.state_dict() for dtype in (None, "bf16"))
    assert all(torch.equal(narrow[name], exact[name].bfloat16()) for name in exact)


def test_numbers_that_the_dtype_asked_for_cannot_hold_are_an_error(tmp_path: Path) -> None:
    blueprint = Blueprint.of("llama", "debug")
    module = blueprint.build(seed=3)
    with torch.no_grad():
        module.get_parameter("stack.layers.1.mlp.branch.up.weight")[2, 2] = 1e6
    weft.save(Model(module, blueprint), tmp_path)
    assert weft.load(tmp_path, dtype="bf16").module is not None
    with pytest.raises(LoadError, match=r"layers\.1\.mlp\.up.* has numbers that torch.float16 cannot hold"):
        weft.load(tmp_path, dtype="fp16")


@pytest.mark.parametrize(("device", "told"), [("cuda:99", "not on this machine|GPUs"), ("gpu", "auto, cpu, cuda")])
def test_a_device_that_is_not_there_is_an_error_that_names_it(device: str, told: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, "fp32")
    with pytest.raises(LoadError, match=rf"{device!r}.*({told}).*Leave device out for the CPU"):
        weft.load(folder, device=device)
    on_cpu = weft.load(folder, device="cpu").module
    assert {parameter.device for parameter in on_cpu.parameters()} == {torch.device("cpu")}
