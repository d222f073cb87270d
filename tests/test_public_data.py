"""Public data sets from a server of this process: what comes, what is resumed, and everything that must be refused."""

import errno
import io
import os
import resource
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path
from urllib.request import Request

import pytest
from commands import good, snapshot, weft

from weft import registry
from weft.data.public import PUBLIC_SETS, FetchError, PublicFile, PublicSet, UnsafeArchive, get_public, unpack
from weft.data.public import download as fetch
from weft.data.public.fetch import Expected, Patience, _Redirects
from weft.files import DamagedFile, digest, new_folder
from weft.registry import Registry

TEXT = b"".join(b"line %d of a text that takes a while to come\n" % number for number in range(2000))
OTHER = TEXT.replace(b"while", b"WHILE")
QUICK = Patience(timeout=5.0, attempts=3, pause=0.0)
ONCE = replace(QUICK, attempts=1)
NAME = "of_this_test"


@dataclass
class Site:
    """What is served at each path, how, and what was asked for. ways: words that change how a path answers."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ways: dict[str, set[str]] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)  # a path -> where it redirects to
    status: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)  # how many bytes come before the next connections end
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # (path, Range)

    def put(self, path: str, data: bytes, *ways: str, cuts: tuple[int, ...] = ()) -> str:
        self.files[path], self.ways[path], self.cuts[path] = data, set(ways), list(cuts)
        return self.address + path

    def ranges(self, path: str) -> list[str | None]:
        return [asked for place, asked in self.asked if place == path]


def serve(site: Site, request: BaseHTTPRequestHandler) -> None:
    path, wanted = request.path, request.headers.get("Range")
    site.asked.append((path, wanted))
    if path in site.leads or path in site.status:
        request.send_response(site.status.get(path, 302))
        request.send_header("Location", site.leads.get(path, ""))
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    if path not in site.files:
        request.send_error(404)
        return
    data, ways = site.files[path], site.ways[path]
    tag = f'"{digest(data)[:12]}"'
    version = request.headers.get("If-Range")
    start = 0
    if wanted and "no ranges" not in ways and version in (None, tag):
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            request.send_error(416)
            return
    request.send_response(206 if start else 200)
    if start:
        told = start + 1 if "wrong ranges" in ways else start
        request.send_header("Content-Range", f"bytes {told}-{len(data) - 1}/{len(data)}")
    if "no tag" not in ways:
        request.send_header("ETag", tag)
    if "packed" in ways:
        request.send_header("Content-Encoding", "gzip")
    if "chunked" in ways:
        request.send_header("Transfer-Encoding", "chunked")
    elif "no length" not in ways:
        request.send_header("Content-Length", str(len(data) - start))
    request.end_headers()
    cut = site.cuts[path].pop(0) if site.cuts[path] else None
    body = data[start : None if cut is None else start + cut]
    if "chunked" in ways:
        request.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if cut is None else b""))
    else:
        request.wfile.write(body)
    if "stalls" in ways:
        request.wfile.flush()
        stopped.wait(2.0)


stopped = threading.Event()


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            serve(site, self)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{listening.server_address[1]}"
    yield site
    stopped.set()
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def site(server: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The server with nothing on it, a cache of one's own, and a network."""
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for kept in (server.files, server.ways, server.leads, server.status, server.cuts, server.asked):
        kept.clear()
    yield server
    PUBLIC_SETS._values.pop(NAME, None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "data" / NAME


def known(*files: PublicFile) -> PublicSet:
    """A set of these files, registered."""
    made = PublicSet(NAME, files, "made for a test", "none needed", "this test")
    PUBLIC_SETS._values[NAME] = made
    return made


def text_file(address: str, **more: object) -> PublicFile:
    return PublicFile("text.txt", address, **({"sha256": digest(TEXT)} | more))  # type: ignore[arg-type]


def under_final_names(home: Path) -> dict[str, bytes]:
    return snapshot(home / "files") if (home / "files").exists() else {}


# ---------------------------------------------------------------- what comes


def test_a_set_comes_once_and_is_then_in_the_cache(site: Site, home: Path):
    said, shown = list[str](), list[tuple[str, int, int]]()
    known(text_file(site.put("/text", TEXT), size=len(TEXT)), PublicFile("more/b.txt", site.put("/b", b"b")))
    got = get_public(NAME, say=said.append, advance=lambda *now: shown.append(now), patience=QUICK)
    assert snapshot(got.folder) == {"text.txt": TEXT, "more/b.txt": b"b"}
    assert got.digests == {"text.txt": digest(TEXT), "more/b.txt": digest(b"b")}
    assert {path.name for path in home.iterdir()} == {"files", "manifest.json"}
    assert shown[-1] == ("b.txt", 1, 1) and ("text.txt", len(TEXT), len(TEXT)) in shown
    (told,) = said
    assert "more/b.txt is unverified" in told and digest(b"b") in told
    assert get_public(NAME, say=said.append) == got and len(said) == 1
    assert [path for path, _ in site.asked] == ["/text", "/b"]


def test_out_is_a_copy_and_must_be_new_or_empty(site: Site, tmp_path: Path):
    known(text_file(site.put("/text", TEXT)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(ValueError, match="full is already there: choose another name"):
        get_public(NAME, tmp_path / "full", patience=ONCE)
    assert not site.asked and snapshot(tmp_path / "full") == {"mine": b"mine"}
    got = get_public(NAME, tmp_path / "new" / "copy", patience=ONCE)
    assert snapshot(got.folder) == {"text.txt": TEXT} and got.folder == tmp_path / "new" / "copy"
    site.status["/text"] = 404
    known(text_file(site.address + "/text", sha256=digest(OTHER)))
    with pytest.raises(FetchError):
        get_public(NAME, tmp_path / "other", patience=ONCE)
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "full", "new"}


def test_an_archive_comes_unpacked(site: Site, home: Path):
    tar, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as made:
        for name, data in (("top/a.txt", b"a"), ("top/deep/b.txt", TEXT), ("./c.txt", b"")):
            made.addfile(sized(name, data), io.BytesIO(data))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as made:
        made.mkdir("empty")
        made.writestr("d/e.txt", TEXT)
    files = [
        PublicFile("tar", site.put("/t", tar.getvalue()), archive=True),
        PublicFile("zip", site.put("/z", zipped.getvalue()), digest(zipped.getvalue()), archive=True),
    ]
    known(*files)
    got = get_public(NAME, patience=QUICK)
    wanted = {"tar/top/a.txt": b"a", "tar/top/deep/b.txt": TEXT, "tar/c.txt": b"", "zip/d/e.txt": TEXT}
    assert snapshot(got.folder) == wanted and (got.folder / "zip" / "empty").is_dir()
    assert {path.name for path in home.iterdir()} == {"files", "manifest.json"}
    assert snapshot(get_public(NAME, home.parent / "copy", patience=QUICK).folder) == wanted and len(site.asked) == 2


def test_a_file_that_somebody_changed_in_the_cache_is_fetched_again(site: Site):
    known(text_file(site.put("/text", TEXT)), PublicFile("b", site.put("/b", b"b")))
    folder, said = get_public(NAME, patience=QUICK).folder, list[str]()
    (folder / "text.txt").write_bytes(OTHER)
    (folder / "b").unlink()
    assert snapshot(get_public(NAME, say=said.append, patience=QUICK).folder) == {"text.txt": TEXT, "b": b"b"}
    assert len(said) == 1 and digest(TEXT) in said[0] and digest(OTHER) in said[0]


# ---------------------------------------------------------------- what was begun


@pytest.mark.parametrize("way", ["", "no tag", "chunked"])
def test_a_cut_connection_is_gone_on_with_where_it_ended(way: str, site: Site, tmp_path: Path):
    address = site.put("/text", TEXT, way, cuts=(30_000, 20_000))
    found = fetch(address, tmp_path / "text", expected=Expected(digest(TEXT), ""), patience=QUICK)
    assert found == digest(TEXT) and snapshot(tmp_path) == {"text": TEXT}
    assert site.ranges("/text") == [None, "bytes=30000-", "bytes=50000-"]


def test_a_killed_download_is_gone_on_with_by_the_next(site: Site, home: Path):
    known(text_file(site.put("/text", TEXT, cuts=(30_000,))))
    with pytest.raises(FetchError, match=r"in 1 attempts \(the connection ended after 30,000 of 9\d,\d+ bytes\): try"):
        get_public(NAME, patience=ONCE)
    assert not under_final_names(home)
    assert get_public(NAME, patience=ONCE).digests == {"text.txt": digest(TEXT)}
    assert site.ranges("/text") == [None, "bytes=30000-"]


def test_a_server_that_knows_no_ranges_sends_all_again(site: Site, tmp_path: Path):
    address = site.put("/text", TEXT, "no ranges", cuts=(30_000,))
    fetch(address, tmp_path / "text", expected=Expected(digest(TEXT), ""), patience=QUICK)
    assert snapshot(tmp_path) == {"text": TEXT} and site.ranges("/text") == [None, "bytes=30000-"]


def test_another_version_is_not_glued_to_what_was_begun(site: Site, tmp_path: Path):
    for way in ("", "no tag"):
        address = site.put("/text", TEXT, way, cuts=(30_000,))
        with pytest.raises(FetchError):
            fetch(address, tmp_path / "text", patience=ONCE)
        site.put("/text", OTHER, way)
        assert fetch(address, tmp_path / "text", patience=ONCE) == digest(OTHER)
    # With a tag, it was asked for by its version; without, whether it is the same could not be told, and all came anew.
    assert site.ranges("/text") == [None, "bytes=30000-", None, None]


def test_what_was_begun_wrongly_is_begun_anew(site: Site, tmp_path: Path):
    address, expected = site.put("/text", TEXT, "no tag", cuts=(30_000,)), Expected(digest(TEXT), "")
    with pytest.raises(FetchError):
        fetch(address, tmp_path / "text", expected=expected, patience=ONCE)
    (tmp_path / "text.part").write_bytes(OTHER[:30_000])
    assert fetch(address, tmp_path / "text", expected=expected, patience=QUICK) == digest(TEXT)
    assert site.ranges("/text") == [None, "bytes=30000-", None]
    for begun in (TEXT, TEXT + b"more"):  # of all bytes, or too many, the server says that it has no more
        with pytest.raises(FetchError):
            fetch(site.put("/text", TEXT, cuts=(10,)), tmp_path / "again", expected=expected, patience=ONCE)
        (tmp_path / "again.part").write_bytes(begun)
        assert fetch(address, tmp_path / "again", expected=expected, patience=QUICK) == digest(TEXT)
    fetch(site.put("/text", TEXT, "wrong ranges", cuts=(9,)), tmp_path / "b", expected=expected, patience=QUICK)


# ---------------------------------------------------------------- what is refused


def test_a_wrong_digest_is_said_with_both_and_nothing_stays(site: Site, home: Path):
    known(text_file(site.put("/text", OTHER)))
    with pytest.raises(FetchError) as caught:
        get_public(NAME, patience=QUICK)
    said = str(caught.value)
    assert digest(TEXT) in said and digest(OTHER) in said and "not kept; try again, or fetch it" in said
    assert not snapshot(home) and len(site.asked) == 1 and "\n" not in said


def test_an_unverified_file_is_held_to_its_first_digest(site: Site, home: Path):
    known(PublicFile("text.txt", site.put("/text", TEXT)))
    folder = get_public(NAME, patience=ONCE).folder
    (folder / "text.txt").unlink()
    site.put("/text", OTHER)
    with pytest.raises(FetchError, match="which it had when it was first fetched") as caught:
        get_public(NAME, patience=ONCE)
    assert all(part in str(caught.value) for part in (digest(TEXT), digest(OTHER), f"remove {home}"))
    assert not under_final_names(home)
    known(PublicFile("text.txt", site.put("/elsewhere", OTHER)))  # another address was never fetched from
    assert snapshot(get_public(NAME, patience=ONCE).folder) == {"text.txt": OTHER}


@pytest.mark.parametrize(
    ("status", "ways", "more", "fragment", "requests"),
    [
        (404, (), {}, "answered 404 Not Found, where a file should be: it was moved or removed", 1),
        (403, (), {}, "answered 403 Forbidden, where a file should be", 1),
        (503, (), {}, "could not be fetched, in 3 attempts (it answered 503 Service Unavailable): try again", 3),
        (429, (), {}, "(it answered 429 Too Many Requests): try again", 3),
        (204, (), {}, "answered 204, encoded as identity, where 200 and the file's own bytes were", 1),
        (0, ("packed",), {}, "answered 200, encoded as gzip, where 200 and the file's own bytes were", 1),
        (0, (), {"size": 7}, "bytes, and not 7: it is another file now", 1),
        (0, ("chunked",), {"size": 7}, "has more than 7 bytes: it is another file now", 1),
        (0, ("no length",), {"sha256": None}, "comes without its length, and nobody published its digest", 1),
        (0, ("no length",), {"size": 10**6}, f"the connection ended after {len(TEXT):,} of 1,000,000 bytes", 3),
    ],
)
def test_what_a_server_answers_wrongly(
    status: int, ways: tuple[str, ...], more: dict, fragment: str, requests: int, site: Site, home: Path
):
    known(text_file(site.put("/text", TEXT, *ways), **more))
    site.status.update({"/text": status} if status else {})
    with pytest.raises(FetchError) as caught:
        get_public(NAME, patience=QUICK)
    assert fragment in str(caught.value) and f"{site.address}/text" in str(caught.value)
    assert len(site.asked) == requests and not under_final_names(home)


def test_a_file_beyond_all_measure_is_not_begun(site: Site, tmp_path: Path):
    for way, fragment in (("", "more than the 100 that are fetched unasked"), ("chunked", "has more than 100 bytes")):
        with pytest.raises(FetchError, match=fragment):
            fetch(site.put("/text", TEXT, way), tmp_path / "text", most=100, patience=ONCE)
        assert not snapshot(tmp_path)


def test_no_answer_and_a_server_that_falls_silent(site: Site, tmp_path: Path):
    with pytest.raises(
        FetchError, match=r"127.0.0.1:9/text could not be fetched, in 3 attempts \(no answer: .*refused"
    ):
        fetch("http://127.0.0.1:9/text", tmp_path / "text", patience=QUICK)
    address = site.put("/text", TEXT, "stalls", cuts=(1000,))
    with pytest.raises(FetchError, match=r"the connection broke after 1,000 bytes \(TimeoutError\)"):
        fetch(address, tmp_path / "text", patience=replace(ONCE, timeout=0.2))


def test_redirects_stay_on_their_scheme(site: Site, tmp_path: Path):
    site.put("/text", TEXT)
    site.leads |= {"/a": "/b", "/b": site.address + "/text", "/loop": "/loop"}
    assert fetch(site.address + "/a", tmp_path / "text", patience=ONCE) == digest(TEXT)
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for target in (secret.as_uri(), "ftp://127.0.0.1/x", "data:,x"):
        site.leads["/out"] = target
        with pytest.raises(FetchError, match=r"/out (leads to|answered 302 Found)"):
            fetch(site.address + "/out", tmp_path / "out", patience=ONCE)
    with pytest.raises(FetchError, match="infinite loop") as caught:
        fetch(site.address + "/loop", tmp_path / "out", patience=ONCE)
    assert "\n" not in str(caught.value) and set(snapshot(tmp_path)) == {"text", "secret"}

    def follow(old: str, new: str) -> str:
        request = Request(old, headers={"Range": "bytes=5-"})
        to = _Redirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, new)  # type: ignore[arg-type]
        assert to is not None and to.get_header("Range") == "bytes=5-"
        return to.full_url

    assert follow("http://a/x", "https://b/x") == "https://b/x"
    assert follow("https://a/x", "https://b/x") == "https://b/x"
    with pytest.raises(FetchError, match="https://a/x leads to http://b/x, from https to http: only the same"):
        follow("https://a/x", "http://b/x")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a/b", "data:,x", "/etc/passwd", "http:///x", ""])
def test_only_http_has_addresses(address: str, tmp_path: Path):
    with pytest.raises(ValueError, match="is not of http:// or https://, which alone are fetched"):
        fetch(address, tmp_path / "x")
    with pytest.raises(ValueError, match="which alone are fetched"):
        PublicFile("x", address)


def test_a_full_disk_leaves_nothing_under_a_files_name(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.txt", TEXT)
    known(text_file(site.put("/text", TEXT)), PublicFile("zip", site.put("/z", packed.getvalue()), archive=True))
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size, name in ((50_000, "text.txt"), (len(TEXT) - 1, "zip")):  # too little for the first, then for what unpacks
        limit = size if name == "text.txt" else 50_000
        if name == "zip":
            get_text = known(text_file(site.address + "/text"))
            assert get_public(NAME, patience=ONCE).known == get_text
            known(*get_text.files, PublicFile("zip", site.address + "/z", archive=True))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most[1]))
        try:
            with pytest.raises(OSError) as caught:
                get_public(NAME, patience=QUICK)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        assert caught.value.errno == errno.EFBIG
        assert name not in {path.split("/")[0] for path in under_final_names(home)}
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        get_public(NAME, patience=ONCE)
    assert set(under_final_names(home)) == {"text.txt"}
    monkeypatch.undo()
    monkeypatch.setenv("WEFT_CACHE", str(home.parent.parent))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert snapshot(get_public(NAME, patience=ONCE).folder) == {"text.txt": TEXT, "zip/a.txt": TEXT}


def test_offline_the_cache_is_enough_and_nothing_is_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch):
    first = text_file(site.put("/text", TEXT))
    known(first)
    got = get_public(NAME, patience=ONCE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get_public(NAME) == got
    known(first, PublicFile("b", site.put("/b", b"b")), PublicFile("c", site.put("/c", b"c")))
    with pytest.raises(
        FetchError, match=r"of the data set of_this_test, b and 1 more is not in the cache .*OFFLINE for"
    ):
        get_public(NAME)
    assert len(site.asked) == 1


# ---------------------------------------------------------------- archives


def sized(name: str, data: bytes = b"", **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info


TAR = {
    "up": ("../out", {}, "a path out of the folder"),
    "up within": ("a/../../out", {}, "a path out of the folder"),
    "absolute": ("/tmp/out", {}, "a path out of the folder"),
    "drive": ("C:out", {}, "a path out of the folder"),
    "backslash": ("..\\out", {}, "a path out of the folder"),
    "symlink": ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "a link to '/etc'"),
    "symlink within": ("link", {"type": tarfile.SYMTYPE, "linkname": "good.txt"}, "a link to 'good.txt'"),
    "hard link": ("link", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}, "a link to '/etc/passwd'"),
    "character device": ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "a device"),
    "block device": ("disk", {"type": tarfile.BLKTYPE}, "a device"),
    "pipe": ("pipe", {"type": tarfile.FIFOTYPE}, "a device"),
    "twice": ("good.txt", {}, "twice"),
    "a file and a folder": ("good.txt/more", {}, "twice, or as a file and a folder"),
}


@pytest.mark.parametrize("case", TAR)
def test_a_tar_that_leaves_its_folder_is_refused_whole(case: str, tmp_path: Path):
    name, more, fragment = TAR[case]
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        made.addfile(sized("good.txt", b"good"), io.BytesIO(b"good"))
        made.addfile(sized(name, **more))
    refused(tmp_path / "a.tar", fragment)


ZIP = {
    "up": ("../out", 0o100644, "a path out of the folder"),
    "absolute": ("/tmp/out", 0o100644, "a path out of the folder"),
    "backslash": ("..\\out", 0o100644, "a path out of the folder"),
    "symlink": ("link", 0o120777, "a link"),
    "device": ("null", 0o020666, "a device"),
    "pipe": ("pipe", 0o010666, "a device"),
    "twice": ("good.txt", 0o100644, "twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", ZIP)
def test_a_zip_that_leaves_its_folder_is_refused_whole(case: str, tmp_path: Path):
    name, mode, fragment = ZIP[case]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("good.txt", "good")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        made.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", fragment)


def refused(archive: Path, fragment: str, most: int = 1 << 30) -> None:
    """It is refused, and neither its folder nor anything beside it is there."""
    before = snapshot(archive.parent)
    with pytest.raises(UnsafeArchive) as caught, new_folder(archive.parent / "into" / "folder") as fresh:
        unpack(archive, fresh, most=most)
    assert fragment in str(caught.value) and str(archive) in str(caught.value)
    assert snapshot(archive.parent) == before and not list((archive.parent / "into").iterdir())


def test_archives_that_hold_too_much_are_refused(tmp_path: Path):
    zeros = bytes(1 << 20)
    with tarfile.open(tmp_path / "bomb.tar.xz", "w:xz") as made:
        made.addfile(sized("zeros", zeros), io.BytesIO(zeros))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(4):
            made.writestr(f"{number}", zeros[: 1 << 18])
    for name in ("bomb.tar.xz", "bomb.zip"):
        refused(tmp_path / name, "holds more than 1,000,000 bytes", most=1_000_000)
        with new_folder(tmp_path / f"{name}.out") as fresh:
            unpack(tmp_path / name, fresh, most=1 << 20)


def test_a_tars_headers_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["weft.data.public.unpack"], "_MEMBERS", 4)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", pax_headers={"comment": "x" * (1 << 20)}) as made:
        made.addfile(sized("a"))
    refused(tmp_path / "a.tar.gz", "holds more than 100,000 bytes", most=100_000)
    with tarfile.open(tmp_path / "b.tar", "w") as made:
        for number in range(5):
            made.addfile(sized(f"{number}"))
    refused(tmp_path / "b.tar", "has more than 4 members")


@pytest.mark.parametrize("kind", ["no archive", "cut tar", "cut gzip", "cut zip", "wrong bits", "encrypted"])
def test_broken_archives_are_said_to_be(kind: str, tmp_path: Path):
    archive, data = tmp_path / "a", TEXT
    if kind in ("cut tar", "cut gzip"):
        with tarfile.open(archive, "w:gz" if kind == "cut gzip" else "w") as made:
            made.addfile(sized("a", TEXT), io.BytesIO(TEXT))
        data = archive.read_bytes()[: -len(TEXT) // 2 if kind == "cut tar" else -100]
    elif kind != "no archive":
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("a", TEXT)
        data = archive.read_bytes()
        if kind == "encrypted":
            place = data.rindex(b"PK\x01\x02") + 8
            data = data[:place] + b"\x01" + data[place + 1 :]
        data = {"cut zip": data[:-30], "wrong bits": data.replace(b"line 7 ", b"line 8 ")}.get(kind, data)
    archive.write_bytes(data)
    with pytest.raises((DamagedFile, UnsafeArchive), match="damaged|encrypted"), new_folder(tmp_path / "to") as fresh:
        unpack(archive, fresh)
    assert not (tmp_path / "to").exists()


def test_an_unsafe_archive_of_a_set_leaves_nothing(site: Site, home: Path, tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        made.addfile(sized("../../escaped", b"x"), io.BytesIO(b"x"))
    known(PublicFile("data", site.put("/a", (tmp_path / "a.tar").read_bytes()), archive=True))
    with pytest.raises(UnsafeArchive, match="escaped"):
        get_public(NAME, patience=ONCE)
    assert set(snapshot(home)) == {"manifest.json"} and not list(tmp_path.rglob("escaped"))


# ---------------------------------------------------------------- the table and the commands


@pytest.mark.parametrize("name", [name for name in PUBLIC_SETS.names() if name != NAME])
def test_a_shipped_set_is_pinned_and_described(name: str):
    found = PUBLIC_SETS.get(name)
    assert found.name == name and found.about and found.licence and found.source
    for file in found.files:
        assert file.address.startswith("https://")
        host, *path = file.address.removeprefix("https://").split("/")
        if host in ("raw.githubusercontent.com", "codeload.github.com"):
            commit = found.source.rpartition(" @ ")[2]
            assert commit in path and (len(commit) == 40 or commit.startswith(("v", "r")))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a//b", ".hidden", "a\\b", "", "a/", "C:x"])
def test_file_names_stay_below_their_folder(name: str):
    with pytest.raises(ValueError, match="is no path of letters"):
        PublicFile(name, "http://a/b")


def test_what_a_set_cannot_be():
    file = PublicFile("a", "http://a/b")
    for name, files in (("../x", (file,)), ("a b", (file,)), ("a", ()), ("a", (file, file))):
        with pytest.raises(ValueError, match="data set"):
            PublicSet(name, files, "", "", "")
    for wrong in ({"sha256": "abc"}, {"size": -1}):
        with pytest.raises(ValueError, match="abc|-1"):
            PublicFile("a", "http://a/b", **wrong)  # type: ignore[arg-type]


def test_another_distribution_brings_a_set_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = "from weft.data.public import PublicFile, PublicSet\n"
    code += "THEIRS = PublicSet('theirs', (PublicFile('a', 'https://a/b'),), 'a', 'b', 'c')\n"
    (tmp_path / "their_sets.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("theirs", "their_sets:THEIRS", PUBLIC_SETS.group)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == PUBLIC_SETS.group else [])
    sets: Registry[PublicSet] = Registry("data set", PUBLIC_SETS.group)
    assert sets.names() == ["theirs"] and sets.get("theirs").files[0].address == "https://a/b"
    sys.modules.pop("their_sets")


def test_the_commands(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")
    known(text_file(site.put("/text", TEXT), size=len(TEXT)), PublicFile("b.txt", site.put("/b", b"b")))
    shown = good("data", "list").out
    for text in ("tinyshakespeare", "1.1 MB", "CC BY-SA 4.0", "unverified", "1 of 2 files", "yes"):
        assert text in shown
    listed = {facts["name"]: facts for facts in good("data", "list", "--json").data}
    assert listed["gsm8k"]["verified"] and listed["gsm8k"]["size"] == 4_915_944 and not listed[NAME]["verified"]
    done = good("data", "get", NAME, "--out", tmp_path / "here")
    assert f"folder    {tmp_path / 'here'}" in done.out and "note: b.txt is unverified" in done.err
    assert snapshot(tmp_path / "here") == {"text.txt": TEXT, "b.txt": b"b"}
    facts = good("data", "get", NAME, "--json").data
    assert facts["folder"] == str(tmp_path / "cache" / "data" / NAME / "files") and facts["licence"] == "none needed"
    assert facts["digests"]["b.txt"] == digest(b"b")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for words, fragment in (
        (("get", "tinyshakespear"), "no data set is called 'tinyshakespear'; did you mean 'tinyshakespeare'?"),
        (("get", "gsm8k"), "of the data set gsm8k, train.jsonl and 1 more is not in the cache"),
    ):
        done = weft("data", *words)
        assert done.status == 1 and fragment in done.err and done.err.count("\n") == 1
