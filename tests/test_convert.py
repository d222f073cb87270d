"""`weft convert`: any folder that loads, written anew; and pickles, which are read without running them."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import good, snapshot, weft
from torch import Tensor

from weft.data import Bytes
from weft.files import read_header, read_json, read_tensors, write_tensors
from weft.hub import LoadError, Model, load, save
from weft.hub.convert import convert, size_of
from weft.models import Blueprint, reading

Save = Callable[[object, Path], None]
ZIP: Save = torch.save
OLD: Save = partial(torch.save, _use_new_zipfile_serialization=False)


def made(*changes: tuple[str, str]) -> Model:
    """A tiny decoder on bytes."""
    blueprint = Blueprint.of("llama", "debug").change("vocab", "384")
    for path, text in changes:
        blueprint = blueprint.change(path, text)
    return Model(blueprint.build(seed=0), blueprint, Bytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder."""
    save(made(), tmp_path / "source")
    (tmp_path / "source" / "generation_config.json").write_text('{"eos_token_id": 2}')
    return tmp_path / "source"


def state(folder: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in read_tensors(folder / "model.safetensors").items()}


def pickled(folder: Path, how: Save, value: object = None, file: str = "pytorch_model.bin") -> dict[str, Tensor]:
    """Turn a published folder into a pickled one; its tensors."""
    tensors = state(folder)
    (folder / "model.safetensors").unlink()
    how(tensors if value is None else value, folder / file)
    return tensors


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- what is written


def test_a_published_folder_comes_out_as_the_same_bytes(folder: Path, tmp_path: Path):
    done = convert(folder, tmp_path / "new")
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in (tmp_path / "new").iterdir()} == set(done.written) and done.published
    for name in names:
        assert (tmp_path / "new" / name).read_bytes() == (folder / name).read_bytes(), name
    assert done.written["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    assert done.tensors == len(state(folder)) and done.bytes == sum(t.nbytes for t in state(folder).values())


@pytest.mark.parametrize("name", reading("text"))
def test_every_family_comes_out_as_it_is_saved_whole_or_in_shards(name: str, tmp_path: Path):
    blueprint = Blueprint.of(name, "debug")
    model = Model(blueprint.build(seed=0), blueprint)
    save(model, tmp_path / "source", shard=100_000)
    save(load(tmp_path / "source"), tmp_path / "saved")
    convert(tmp_path / "source", tmp_path / "new")
    assert snapshot(tmp_path / "new") == snapshot(tmp_path / "saved")


@pytest.mark.filterwarnings("ignore")
def test_a_run_becomes_a_folder_that_transformers_reads(trained: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    good("convert", trained, tmp_path / "new")
    model, tokens = load(trained), torch.arange(40).view(2, 20)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new").eval()
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert (model.logits(tokens) - expected).abs().max() <= 1e-5 * expected.std()
    again = load(tmp_path / "new")
    assert again.blueprint == model.blueprint and again.tokenizer is not None
    assert not (tmp_path / "new" / "run.json").exists()


def test_a_model_of_no_other_library_stays_in_wefts_layout_and_the_command_says_so(tmp_path: Path):
    save(made(("position", "alibi")), tmp_path / "source")
    done = good("convert", tmp_path / "source", tmp_path / "new")
    assert "weft's own layout: no other library has this model" in done.out
    assert load(tmp_path / "new").blueprint == load(tmp_path / "source").blueprint


def test_dtype_and_shards_are_as_asked(folder: Path, tmp_path: Path):
    words = ("convert", folder, tmp_path / "new", "--dtype", "bf16", "--shard-size", "20kB")
    found = good(*words, "--json").data
    assert found["written"] == str(tmp_path / "new") and found["layout"] == "huggingface"
    assert read_json(tmp_path / "new" / "config.json")["dtype"] == "bfloat16"
    shards = sorted((tmp_path / "new").glob("model-*.safetensors"))
    assert len(shards) > 1 and not (tmp_path / "new" / "model.safetensors").exists()
    for shard in shards:
        entries = read_header(shard).entries
        assert found["files"][shard.name] == shard.stat().st_size
        assert {entry.dtype for entry in entries.values()} == {"BF16"}
        assert len(entries) == 1 or sum(entry.stop - entry.start for entry in entries.values()) <= 20_000
    expected = {name: tensor.bfloat16().float() for name, tensor in load(folder).module.state_dict().items()}
    assert same(dict(load(tmp_path / "new").module.state_dict()), expected)


def test_the_command_names_what_it_read_and_every_file_with_its_size(folder: Path, tmp_path: Path):
    done = good("convert", folder, tmp_path / "new")
    for text in (f"{folder}: {len(state(folder))} tensors", "in the Hugging Face layout", "config.json", "model.safet"):
        assert text in done.out
    assert f"weft show {tmp_path / 'new'}" in done.out


@pytest.mark.parametrize(("text", "size"), [("2GB", 2 * 10**9), ("500 MiB", 500 * 2**20), ("7", 7), ("3kb", 3000)])
def test_sizes(text: str, size: int):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1.5GB", "2XB", "0", "1e9", "K2B"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="is no size: write it as 2GB"):
        size_of(text)


def test_a_folder_with_content_is_left_as_it_is(folder: Path, tmp_path: Path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    for target in ("new", "source"):
        before = {path.name: path.read_bytes() for path in (tmp_path / target).iterdir()}
        done = weft("convert", folder, tmp_path / target)
        assert done.status == 1 and "is already there: choose another name" in done.err
        assert {path.name: path.read_bytes() for path in (tmp_path / target).iterdir()} == before


def test_what_fails_leaves_nothing_behind(folder: Path, tmp_path: Path):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for damage in (lambda: weights.write_bytes(whole[:-1]), lambda: weights.unlink()):
        damage()
        with pytest.raises(LoadError):
            convert(folder, tmp_path / "new")
        assert [path.name for path in tmp_path.iterdir()] == ["source"]
    weights.write_bytes(whole)
    write_tensors(weights, {name: torch.full_like(tensor, 1e30) for name, tensor in state(folder).items()})
    with pytest.raises(ValueError, match=r"has numbers that torch\.float16 cannot hold: ask for another dtype"):
        convert(folder, tmp_path / "new", dtype="fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_weights_that_are_no_numbers_are_said(folder: Path, tmp_path: Path):
    tensors = state(folder)
    tensors["model.norm.weight"][0] = float("nan")
    write_tensors(folder / "model.safetensors", tensors)
    done = good("convert", folder, tmp_path / "new")
    assert "no finite numbers: model.norm.weight" in done.err


MEASURE = """
import resource, sys
from weft.hub.convert import convert
def anonymous():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024
import threading, time
peak, before, going = 0, anonymous(), True
def watch():
    global peak
    while going:
        peak = max(peak, anonymous())
        time.sleep(0.001)
thread = threading.Thread(target=watch)
thread.start()
convert(sys.argv[1], sys.argv[2])
going = False
thread.join()
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what is anonymous")
def test_no_more_than_a_few_tensors_are_held_at_once(tmp_path: Path):
    blueprint = Blueprint.of("gpt2", "debug").change("width", "512").change("depth", "12").change("vocab", "384")
    save(Model(blueprint.build(seed=0), blueprint), tmp_path / "source")
    size = (tmp_path / "source" / "model.safetensors").stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "source", tmp_path / "new"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert size > 150e6 and int(done.stdout) < size / 3, f"{int(done.stdout):,} bytes held for {size:,}"


# ---------------------------------------------------------------- pickles


@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
def test_pickled_weights_come_out_equal_and_only_when_asked_for(how: Save, folder: Path, tmp_path: Path):
    tensors = pickled(folder, how)
    refused = weft("convert", folder, tmp_path / "new")
    assert refused.status == 1 and f"`weft convert {folder} NEW --unsafe-pickle` reads it" in refused.err
    with pytest.raises(LoadError, match="can run any code when it is read"):
        load(folder)
    good("convert", folder, tmp_path / "new", "--unsafe-pickle")
    assert same(state(tmp_path / "new"), tensors)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
def test_a_state_dict_of_transformers_with_shared_tensors(how: Save, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=97, n_positions=29, n_embd=30, n_layer=2, n_head=5, bos_token_id=1, eos_token_id=1
    )
    model, folder = transformers.GPT2LMHeadModel(config), tmp_path / "source"
    config.architectures = ["GPT2LMHeadModel"]
    config.save_pretrained(folder)
    how(model.state_dict(), folder / "pytorch_model.bin")  # with versions of modules beside, and a tied head twice
    convert(folder, tmp_path / "new", unsafe_pickle=True)
    back = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "new").state_dict()
    assert same(dict(back), dict(model.state_dict()))


@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
def test_views_parameters_and_every_kind_of_number(how: Save, folder: Path, tmp_path: Path):
    """Transposed, cut, strided and repeated tensors, one storage for several."""
    tensors = state(folder)
    whole = torch.cat([tensor.flatten() for tensor in tensors.values()])
    parts = whole.split([tensor.numel() for tensor in tensors.values()])
    views: dict[str, object] = {name: part.view_as(tensors[name]) for name, part in zip(tensors, parts, strict=True)}
    for name, tensor in tensors.items():
        if "q_proj" in name:
            views[name] = tensor.t().contiguous().t()
        elif "k_proj" in name:
            views[name] = torch.stack([tensor, tensor], -1)[..., 1]
        elif "norm" in name:
            views[name] = torch.nn.Parameter(tensor)
    pickled(folder, how, OrderedDict(views))
    convert(folder, tmp_path / "new", unsafe_pickle=True)
    assert same(state(tmp_path / "new"), tensors)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
def test_every_dtype_of_weights_is_kept(dtype: torch.dtype, how: Save, folder: Path, tmp_path: Path):
    tensors = {name: tensor.to(dtype) for name, tensor in state(folder).items()}
    pickled(folder, how, tensors, "weights.pt")
    convert(folder / "weights.pt", tmp_path / "new", unsafe_pickle=True)
    assert same(state(tmp_path / "new"), tensors)


def test_shards_of_pickles_with_their_index(folder: Path, tmp_path: Path):
    tensors = state(folder)
    names = sorted(tensors)
    files = {"one.bin": names[:5], "two.bin": names[5:]}
    pickled(folder, ZIP, {name: tensors[name] for name in files["one.bin"]}, "one.bin")
    ZIP({name: tensors[name] for name in files["two.bin"]}, folder / "two.bin")
    places = {name: file for file, own in files.items() for name in own}
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    convert(folder, tmp_path / "new", unsafe_pickle=True)
    assert same(state(tmp_path / "new"), tensors)
    for wrong, fragment in (
        (places | {names[0]: "two.bin"}, "source/two.bin lacks .*, which the index puts here"),
        (places | {names[0]: "../one.bin"}, "a shard is a .bin file in the same folder"),
        (places | {names[0]: "three.bin"}, "three.bin is missing"),
    ):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(LoadError, match=fragment):
            convert(folder, tmp_path / "other", unsafe_pickle=True)


def test_which_of_several_pickles_is_meant_is_asked(folder: Path, tmp_path: Path):
    tensors = pickled(folder, ZIP, file="a.pt")
    ZIP({}, folder / "b.pt")
    with pytest.raises(LoadError, match=r"has no pytorch_model\.bin, and of other pickled files a\.pt, b\.pt: name"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)
    convert(folder / "a.pt", tmp_path / "new", unsafe_pickle=True)
    assert same(state(tmp_path / "new"), tensors)


class Asks:
    """Pickled, it is a call of whatever it was given; with a state, more than that."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call  # type: ignore[return-value]


class Plain:
    def __setstate__(self, state: object) -> None:
        raise AssertionError("it was run")


EVIL = Path("evil")
CALLS: dict[str, tuple[object, str]] = {
    "os.system": (Asks(os.system, (f"touch {EVIL}",)), r"asks for posix\.system: refused"),
    "eval": (Asks(eval, ("open('evil', 'w')",)), r"asks for (builtins|__builtin__)\.eval: refused"),
    "nested": ({"a": [{"b": Asks(OrderedDict, ([("x", Asks(os.getpid, ()))],))}]}, r"asks for posix\.getpid: refused"),
    "import": (Asks(__import__, ("antigravity",)), r"__import__: refused"),
    "getattr": (Asks(getattr, (OrderedDict, "fromkeys")), r"\.getattr: refused"),
    "setstate": (Asks(Plain, (), {"x": 1}), r"asks for test_convert\.Plain: refused"),
    "state of a list": (Asks(OrderedDict, ([],), {"x": Asks(print, ("run",))}), r"print: refused"),
    "a module": (torch.nn.Linear(1, 1), r"asks for torch\.nn\.modules\.linear\.Linear: refused"),
    "bytes": (bytearray(b"x"), r"bytearray: refused|does what no file of tensors needs"),
}


@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
@pytest.mark.parametrize("name", CALLS)
def test_what_a_pickle_asks_for_is_refused_by_name(name: str, how: Save, folder: Path, tmp_path: Path):
    value, fragment = CALLS[name]
    pickled(folder, how, {"model.norm.weight": value})
    with pytest.raises(LoadError, match=fragment) as caught:
        convert(folder, tmp_path / "new", unsafe_pickle=True)
    assert str(folder / "pytorch_model.bin") in str(caught.value)
    assert not list(tmp_path.rglob("evil")) and not EVIL.exists() and not (tmp_path / "new").exists()


def archive(path: Path, code: bytes, **entries: bytes) -> None:
    """A zip archive as torch writes it, with this pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", code)
        for name, data in entries.items():
            file.writestr(f"archive/{name}", data)


def tensor(shape: tuple[object, ...], strides: tuple[object, ...], count: object, offset: object = 0) -> bytes:
    """The opcodes of {"w": a tensor of one storage "0"}."""
    inner = io.BytesIO()

    class Writer(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if value is STORAGE else None

    arguments = (STORAGE, offset, shape, strides, False, None)
    Writer(inner, protocol=2).dump({"w": Asks(torch._utils._rebuild_tensor_v2, arguments)})
    return inner.getvalue()


STORAGE = object()
DATA = {"data/0": b"\0" * 16}


@pytest.mark.parametrize(
    ("code", "entries", "fragment"),
    [
        (b"cos\nsystem\n(S'touch evil'\ntR.", {}, r"asks for os\.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", {}, r"asks for os\.system"),
        (b"(S'touch evil'\nios\nsystem\n.", {}, r"INST of os system"),
        (b"(cos\nsystem\nS'x'\no.", {}, r"asks for os\.system"),
        (b"\x82\x01.", {}, "EXT1"),
        (b"ccollections\nOrderedDict\n}b.", {}, "BUILD"),
        (b"ccollections\nOrderedDict\n)\x81.", {}, "NEWOBJ"),
        (b"ccollections\nOrderedDict\n]R.", {}, "calls a"),
        (b"}(]K\x01u.", {}, "named by a list"),
        (b"\x8b\xff\xff\xff\x7f1.", {}, "damaged"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.", {}, "damaged"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", {}, "damaged"),
        (b"0.", {}, "POP|damaged"),
        (b"", {}, "damaged"),
        (b"}", {}, "damaged"),
        (b"K\x01.", {}, "holds a int, not a state dict"),
        (b"}.", {}, "holds a dict, not a state dict"),
        (pickle.dumps({"w": 1}, 2), {}, "'w' is a int, not a tensor"),
        (tensor((2, 2), (2, 1), 4), {}, "no entry 'archive/data/0'"),
        (tensor((2, 2), (2, 1), 4), {"data/0": b"\0" * 15}, "has 15 bytes, not 4 numbers"),
        (pickle.dumps({"\x1b[31mred\n": 1}, 2), {}, r"pytorch_model\.bin: '\\x1b\[31mred\\n' is a int"),
        (tensor((2, 3), (3, 1), 4), DATA, "reaches past its storage of 4 numbers"),
        (tensor((2, 2), (3, 1), 4), DATA, "reaches past its storage"),
        (tensor((2, 2), (2, 1), 4, 1), DATA, "reaches past its storage"),
        (tensor((2, 2), (2, 1), 2**40), DATA, "has 16 bytes"),
        (tensor((10**6, 10**6), (0, 0), 4), DATA, "reaches past its storage"),
        (tensor((-2, 2), (2, 1), 4), DATA, "is not described as one"),
        (tensor((2, 2), (-2, 1), 4, 2), DATA, "is not described as one"),
        (tensor((2.0, 2), (2, 1), 4), DATA, "is not described as one"),
        (tensor((2, 2), (2,), 4), DATA, "is not described as one"),
        (tensor((2, 2), (2, 1), -4), DATA, "is not described as one"),
        (tensor((2, 2), (2, 1), 4), DATA | {"byteorder": b"big"}, "big-endian"),
        (tensor((2, 2), (2, 1), 4), DATA | {"../../evil": b"x"}, "leads out of it"),
    ],
)
def test_opcodes_and_tensors_that_cannot_be(
    code: bytes, entries: dict[str, bytes], fragment: str, folder: Path, tmp_path: Path
):
    pickled(folder, lambda _, path: archive(path, code, **entries))
    with pytest.raises(LoadError, match=fragment):
        convert(folder, tmp_path / "new", unsafe_pickle=True)
    assert [path.name for path in tmp_path.iterdir()] == ["source"] and not EVIL.exists()


def test_the_tensors_of_these_tests_are_read_where_nothing_is_wrong(folder: Path, tmp_path: Path):
    pickled(folder, lambda _, path: archive(path, tensor((2, 2), (2, 1), 4), **DATA))
    with pytest.raises(LoadError, match=r"lacks .* and has w, which the model does not"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)


def flip(data: bytes, where: int) -> bytes:
    return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]


@pytest.mark.parametrize("how", [ZIP, OLD], ids=["zip", "old"])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:3], lambda data: data[: len(data) // 2], lambda data: data[:-1]]
)
def test_files_cut_short_are_refused(damage: Callable[[bytes], bytes], how: Save, folder: Path, tmp_path: Path):
    pickled(folder, how)
    path = folder / "pytorch_model.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LoadError, match=r"pytorch_model\.bin"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_flipped_byte_of_a_storage_is_found_by_its_checksum(folder: Path, tmp_path: Path):
    tensors = pickled(folder, ZIP)
    path = folder / "pytorch_model.bin"
    data = path.read_bytes()
    where = data.index(tensors["model.norm.weight"].numpy().tobytes())
    path.write_bytes(flip(data, where + 5))
    with pytest.raises(LoadError, match="is damaged: its checksum is another"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)


def test_a_bomb_is_refused_before_it_is_unpacked(folder: Path, tmp_path: Path):
    def bomb(_: object, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("archive/data.pkl", tensor((2, 2), (2, 1), 4))
            file.writestr("archive/data/0", b"\0" * 50_000_000)

    pickled(folder, bomb)
    assert (folder / "pytorch_model.bin").stat().st_size < 100_000
    with pytest.raises(LoadError, match=r"larger than the file|is compressed or locked"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)


def test_one_storage_under_very_many_names_is_no_way_to_fill_a_disk(folder: Path, tmp_path: Path):
    table = torch.zeros(50_000)
    pickled(folder, ZIP, {f"w{number}": table for number in range(100)})
    with pytest.raises(LoadError, match="more than 8 times the file's"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)


@pytest.mark.skipif(sys.platform != "linux", reason="no limit on memory")
def test_a_pickle_that_would_take_all_memory_is_stopped(folder: Path, tmp_path: Path):
    pickled(folder, lambda _, path: archive(path, b"]" * 5_000_000 + b"."))
    with pytest.raises(LoadError, match="asks for more memory than its size accounts for: refused"):
        convert(folder, tmp_path / "new", unsafe_pickle=True)


def test_the_reader_sees_neither_packages_nor_the_environment(tmp_path: Path):
    program = Path(__file__).resolve().parent.parent / "src" / "weft" / "hub" / "pickled"
    for path in program.glob("*.py"):
        shutil.copy(path, tmp_path)
    (tmp_path / "layouts.py").write_text(
        "import os, sys\ndef read_archive(*_): raise __import__('machine').Refused("
        "str(sorted(name for name in sys.modules if name in ('torch', 'numpy', 'site', 'weft', 'pickle')))"
        " + str('HOME' in os.environ))\nread_older = read_archive\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", tmp_path, __file__, tmp_path / "x"], capture_output=True, text=True, env={}
    )
    assert done.returncode == 1 and "torch" not in done.stderr and "weft" not in done.stderr and "False" in done.stderr
