"""Digests, JSON, strict safetensors, atomic files and folders, the check of an output folder."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from weft import files, outputs
from weft.files import (
    DamagedFile,
    digest,
    new_folder,
    read_header,
    read_json,
    read_tensors,
    sweep,
    write_bytes,
    write_json,
    write_tensors,
)
from weft.outputs import check_output, locked


def file_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


EIGHT = bytes(8)
TWO = {"b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}
ENTRY = b'{"dtype":"U8","shape":[8],"data_offsets":[0,8]}'

DAMAGED = {
    "empty": (b"", "has 0 bytes"),
    "7 bytes": (b"1234567", "has 7 bytes"),
    "header length 0": (file_of(b""), "header has 0 bytes"),
    "header past the end": (file_of(b"{}", length=3), "header has 3 bytes"),
    "header length 2^63": (file_of(b"{}", length=2**63), "header has 9223372036854775808 bytes"),
    "not UTF-8": (file_of(b'{"\xff":1}'), "the header is not UTF-8, at byte 2"),
    "not JSON": (file_of(b"{oh}"), "the header is not JSON"),
    "deeply nested": (file_of(b"[" * 200_000), "the header is not JSON"),
    "a number of 10000 digits": (file_of(b"1" * 10_000), "the header is not JSON"),
    "a list": (file_of([]), "the header is a list"),
    "duplicate tensor": (file_of(b'{"a":' + ENTRY + b',"a":' + ENTRY + b"}", EIGHT), "the key 'a' twice"),
    "duplicate field": (file_of(b'{"a":{"dtype":"U8","dtype":"I8"}}'), "the key 'dtype' twice"),
    "metadata": (file_of({"__metadata__": {"a": 1}}), "__metadata__"),
    "entry is a list": (file_of({"a": []}), "tensor 'a' needs dtype"),
    "no dtype": (file_of({"a": {"shape": [], "data_offsets": [0, 4]}}, EIGHT), "tensor 'a' needs dtype"),
    "another field": (file_of({"a": one()["a"] | {"x": 1}}, EIGHT), "tensor 'a' needs dtype"),
    "unknown dtype": (file_of(one(dtype="F33"), EIGHT), "the unknown dtype 'F33'"),
    "dtype is a list": (file_of(one(dtype=[]), EIGHT), "the unknown dtype"),
    "negative shape": (file_of(one(shape=[-2]), EIGHT), "the shape \\[-2\\]"),
    "two negative sizes": (file_of(one(shape=[-2, -1]), EIGHT), "the shape \\[-2, -1\\]"),
    "fractional shape": (file_of(one(shape=[2.0]), EIGHT), "the shape \\[2.0\\]"),
    "shape of truths": (file_of(one(shape=[True, 2]), EIGHT), "the shape \\[True, 2\\]"),
    "shape is a number": (file_of(one(shape=2), EIGHT), "the shape 2"),
    "65 dimensions": (file_of(one(shape=[1] * 64 + [2]), EIGHT), "at most 64"),
    "product overflows": (file_of(one(shape=[2**32, 2**32]), EIGHT), "overflows"),
    "product overflows to 8": (file_of(one("U8", [2**62, 4, 8]), EIGHT), "overflows"),
    "overflow hidden by a zero": (file_of(one(shape=[2**40, 2**40, 0], offsets=[0, 0])), "overflows"),
    "size of 2^63": (file_of(one(shape=[2**63]), EIGHT), "the shape"),
    "offsets reversed": (file_of(one(offsets=[8, 0]), EIGHT), "the offsets \\[8, 0\\]"),
    "one offset": (file_of(one(offsets=[0]), EIGHT), "the offsets \\[0\\]"),
    "offset is text": (file_of(one(offsets=["0", 8]), EIGHT), "the offsets"),
    "overlapping": (file_of(one() | TWO, EIGHT), "tensor 'b' overlaps"),
    "a hole": (file_of(one("U8", [2], [0, 2]) | TWO, EIGHT), "tensor 'b' leaves a hole"),
    "a hole at the start": (file_of(TWO, EIGHT), "tensor 'b' leaves a hole"),
    "past the end": (file_of(one(), EIGHT[:-1]), "tensor 'a' ends at 8, past the 7 bytes"),
    "trailing bytes": (file_of(one(), EIGHT + b"!"), "1 bytes follow"),
    "trailing bytes of nothing": (file_of({}, b"!"), "1 bytes follow"),
    "dtype x shape": (file_of(one(shape=[3]), EIGHT), "takes 12 bytes, its offsets hold 8"),
    "name is a lone surrogate": (file_of(b'{"\\ud800":' + ENTRY + b"}", EIGHT), "header"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_name(name: str, tmp_path: Path):
    content, message = DAMAGED[name]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=message) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_file_cut_short_is_refused(cut: int, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.arange(10)})
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    assert cut < len(content)
    with pytest.raises(DamagedFile):
        read_tensors(path)


@given(st.binary(max_size=60), st.booleans())
def test_arbitrary_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, framed: bool):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(file_of(content) if framed else content)
    with contextlib.suppress(DamagedFile):
        assert read_tensors(path) == {}


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "b": torch.randn(3, 4),
        "a": torch.randn(5).to(torch.bfloat16),
        "turned": torch.randn(3, 4).T,
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.zeros(0, 3),
        "flags": torch.tensor([True, False, True]),
        "eighth": torch.randn(7).to(torch.float8_e4m3fn),
        "complex": torch.randn(2, dtype=torch.complex64).conj(),
        "trained": torch.nn.Parameter(torch.randn(2)),
    }


def test_tensors_are_read_back_and_the_library_reads_them_too(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    given_tensors = tensors()
    write_tensors(path, given_tensors, {"step": "3"})
    for found in (read_tensors(path), safetensors.torch.load_file(path)):
        assert found.keys() == given_tensors.keys()
        for name, tensor in given_tensors.items():
            assert found[name].dtype == tensor.dtype
            assert found[name].shape == tensor.shape
            assert torch.equal(found[name].to(torch.complex64), tensor.detach().to(torch.complex64))
    header = read_header(path)
    assert header.metadata == {"step": "3"}
    assert header.entries["b"].shape == (3, 4)
    starts = [entry.start for entry in header.entries.values() if entry.dtype == "F32"]
    assert all(start % 4 == 0 for start in starts)


def test_the_library_writes_what_is_read(tmp_path: Path):
    given_tensors = {"x": torch.randn(3, 2), "y": torch.arange(3)}
    safetensors.torch.save_file(given_tensors, tmp_path / "a.safetensors", {"format": "pt"})
    found = read_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in given_tensors.items())


def test_equal_tensors_give_equal_bytes(tmp_path: Path):
    metadata = {f"key {number}": str(number) for number in range(20)}
    write_tensors(tmp_path / "a", tensors(), metadata)
    backwards = dict(reversed(list(tensors().items())))
    write_tensors(tmp_path / "b", backwards, dict(reversed(list(metadata.items()))))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_an_empty_set_of_tensors(tmp_path: Path):
    write_tensors(tmp_path / "a", {})
    assert read_tensors(tmp_path / "a") == {}


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, device="meta"), torch.eye(2).to_sparse(), torch.zeros(1, dtype=torch.complex128)]
)
def test_a_tensor_that_cannot_be_written_is_named(tensor: torch.Tensor, tmp_path: Path):
    with pytest.raises(ValueError, match="'head.weight'"):
        write_tensors(tmp_path / "a", {"head.weight": tensor})
    assert not list(tmp_path.iterdir())


def test_digest_of_bytes_and_of_a_file(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"weft")
    assert (
        digest(b"weft") == digest(tmp_path / "a") == digest(str(tmp_path / "a")) == hashlib.sha256(b"weft").hexdigest()
    )


def test_json_is_written_and_read(tmp_path: Path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": [1, None, "é"]})
    assert read_json(path) == {"a": [1, None, "é"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": [1, None, "é"]}


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not JSON"), (b"{", "not JSON"), (b'"\xff"', "UTF-8"), (b'{"a":1,"a":1}', "twice")]
)
def test_damaged_json_is_refused_by_name(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFile, match=f"a.json.*{message}"):
        read_json(tmp_path / "a.json")


def no_space(*_: object, dir: object = None) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_bytes(path, b"new"),
        lambda path: write_json(path, "new"),
        lambda path: write_tensors(path, {"a": torch.zeros(2)}),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_names_it(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("read", [read_json, read_header, digest])
def test_an_error_of_the_disk_names_the_file(read: Callable[[Path], object], tmp_path: Path):
    path = tmp_path / "a"
    path.mkdir()  # opens or reads as badly as a broken disk
    with pytest.raises(OSError) as caught:
        read(path)
    assert caught.value.filename == str(path)


def test_a_new_folder_appears_whole(tmp_path: Path):
    final = tmp_path / "runs" / "step-1"
    with new_folder(final) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a").write_text("a")
        assert not final.exists()
        assert temporary.parent == final.parent
    assert (final / "inner" / "a").read_text() == "a"
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyError), new_folder(tmp_path / "step-1") as temporary:
        (temporary / "a").write_text("a")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_folder_with_content_is_left_as_it_is(tmp_path: Path):
    final = tmp_path / "step-1"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(ValueError, match="already there"), new_folder(final):
        pass
    (final / "old").unlink()
    with pytest.raises(OSError, match="not empty"), new_folder(final):
        (final / "meanwhile").touch()
    assert [path.name for path in final.iterdir()] == ["meanwhile"]
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_an_empty_folder_is_followed(there: bool, tmp_path: Path):
    disk, final = tmp_path / "disk", tmp_path / "step-1"
    final.symlink_to(disk)
    if there:
        disk.mkdir()
    with new_folder(final) as temporary:
        (temporary / "new").touch()
    assert [path.name for path in disk.iterdir()] == ["new"] and final.is_symlink()
    assert sorted(tmp_path.iterdir()) == [disk, final]


def test_sweep_removes_what_a_killed_process_left(tmp_path: Path):
    write_bytes(tmp_path / "kept", b"")
    (tmp_path / ".step-1.abcd.writing").mkdir()
    (tmp_path / ".a.abcd.writing").touch()
    assert len(sweep(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_check_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check_output(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    full = tmp_path / "full"
    full.mkdir()
    check_output(full)
    (full / "a").touch()
    check_output(full, resume=True)
    check_output(full, overwrite=True)
    with pytest.raises(ValueError, match="full is not empty: go on with --resume"):
        check_output(full)
    with pytest.raises(ValueError, match="choose one"):
        check_output(full, resume=True, overwrite=True)
    with pytest.raises(ValueError, match="is a file"):
        check_output(full / "a")
    with pytest.raises(ValueError, match="cannot write the output"):
        check_output(full / "a" / "below")
    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", no_space)
    with pytest.raises(ValueError, match="No space left"):
        check_output(tmp_path / "new")


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    run = tmp_path / "run"
    hold = f"from weft.outputs import locked\nwith locked({str(run)!r}): print('held', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match=r"another process is writing to .*run: wait"), locked(run):
        pass
    other.kill()
    other.communicate()
    with locked(run):  # the lock died with its process
        (run / "kept.txt").write_text("x")
    assert sorted(path.name for path in run.iterdir()) == ["kept.txt"]
    with locked(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


def test_a_folder_that_goes_while_it_is_held_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.chdir(tmp_path)
    with locked("."):
        assert [path.name for path in tmp_path.iterdir()] == [outputs.LOCK]
    assert not list(tmp_path.iterdir())


def test_a_lock_that_its_last_holder_takes_away_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lock = tmp_path / "run", fcntl.flock

    def gone(*given: Any) -> None:
        lock(*given)
        shutil.rmtree(run)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", gone)
        patch.setattr(Path, "exists", lambda path: True)  # it still was, a moment ago
        with pytest.raises(ValueError, match=r"another process is writing to .*run: wait"), locked(run):
            pass
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # made, and gone before the file is opened
    with pytest.raises(ValueError, match=r"another process is writing to .*run: wait"), locked(run):
        pass


@pytest.mark.parametrize("method", ["write", "close"])
def test_a_full_disk_is_named_whenever_it_says_so(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def fileno(self) -> int:
            return null.fileno()

    setattr(Full, method, no_space)
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: Full() if mode == "xb" else opened(path, mode))
    monkeypatch.setattr(files.os, "fsync", lambda _: None)
    with Path(os.devnull).open("rb") as null, pytest.raises(OSError, match="No space") as caught:
        write_bytes(tmp_path / "a", b"new")
    assert caught.value.filename == str(tmp_path / "a") and not list(tmp_path.iterdir())
