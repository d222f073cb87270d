"""Names on the hub: a small server of its protocol, and what comes of every way in which it can answer."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from commands import ENVIRONMENT, weft

from weft.data import Bytes
from weft.hub import LoadError, Model, find, hosted, load, save
from weft.models import Blueprint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCHED = {"config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"}
LEFT = {"pytorch_model.bin", "modeling_own.py", "model-q4.gguf", "onnx/model.safetensors", "consolidated.safetensors"}
CALLS = [  # what is asked of the server, by a name for it
    ("whole", "owner/whole", None),
    ("again", "owner/whole", None),
    ("alone", "alone", None),
    ("branch", "owner/whole", "branch"),
    ("commit", "owner/whole", COMMIT),
    ("no revision", "owner/whole", "nowhere"),
    ("missing", "owner/missing", None),
    ("private", "owner/private", None),
    ("gated", "owner/gated", None),
    ("pickled", "owner/pickled", None),
    ("no config", "owner/bare", None),
    ("cut", "owner/cut", None),
    ("broken", "owner/broken", None),
]
ERRORS = {
    "owner/missing": (404, "RepoNotFound"),
    "owner/private": (401, "RepoNotFound"),
    "owner/gated": (403, "GatedRepo"),
    "owner/broken": (418, ""),
}
PROGRAM = """
import json, sys
import weft
from weft.hub import find
answers = {}
for key, name, revision in json.load(sys.stdin):
    try:
        folder = find(name, revision)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        answers[key] = {"folder": str(folder), "files": files, "width": weft.load(name, revision=revision).config.width}
    except weft.LoadError as error:
        answers[key] = {"error": str(error)}
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Hub:
    """Repositories by name, and what was asked for."""

    files: dict[str, dict[str, bytes]]
    asked: list[str] = field(default_factory=list)

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answers GET and HEAD as huggingface.co does."""
        path = unquote(urlsplit(request.path).path)
        self.asked.append(f"{request.command} {path}")
        tree = path.removeprefix("/api/models/")
        name = next((name for name in (*self.files, *ERRORS) if f"{tree.lstrip('/')}/".startswith(f"{name}/")), "")
        rest = tree.lstrip("/").removeprefix(name).strip("/").split("/")
        if name in ERRORS or not name:
            status, code = ERRORS.get(name, (404, "RepoNotFound"))
            answer(request, status, b"{}", {"X-Error-Code": code})
        elif rest[0] in ("", "revision"):
            if rest[1:] not in ([], ["main"], ["branch"], [COMMIT]):
                answer(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            listed = [{"rfilename": file} for file in self.files[name]]
            data = {"id": name, "modelId": name, "sha": COMMIT, "siblings": listed, "private": False, "tags": []}
            answer(request, 200, json.dumps(data).encode())
        elif rest[0] == "tree":
            listed = [
                {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for file, data in self.files[name].items()
            ]
            answer(request, 200, json.dumps(listed).encode())
        else:
            self.file(request, name, "/".join(rest[2:]))

    def file(self, request: BaseHTTPRequestHandler, name: str, file: str) -> None:
        data = self.files[name].get(file)
        if data is None:
            answer(request, 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
        if name == "owner/cut" and file == "model.safetensors" and request.command == "GET":
            data = data[:-100]
        answer(request, 200, data, headers)


def answer(request: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
    request.send_response(status)
    for name, value in {
        "Content-Length": str(len(data)),
        "Content-Type": "application/json",
        **(headers or {}),
    }.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(data)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, str]]:
    """Repositories of a tiny model on a server of this process, and its address."""
    folder = tmp_path_factory.mktemp("model")
    blueprint = Blueprint.of("llama", "debug").change("vocab", "384")
    save(Model(blueprint.build(seed=0), blueprint, Bytes()), folder)
    model = {path.name: path.read_bytes() for path in folder.iterdir()}
    more = {"1_Pooling/config.json": b"{}", **dict.fromkeys(LEFT, b"never fetched")}
    bare = {name: data for name, data in model.items() if name != "config.json"}
    pickled = {"config.json": model["config.json"], "pytorch_model.bin": b"never fetched"}
    files = {"owner/whole": model | more, "owner/cut": model, "owner/bare": bare, "owner/pickled": pickled}
    served = Hub(files | {"alone": model})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.serve(self)

        def do_HEAD(self) -> None:
            served.serve(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(home: Path, address: str, calls: list[tuple[str, str, str | None]], **more: str) -> tuple[dict, str]:
    """What `find` says to each, in a process that has this hub and an empty working folder; and its standard error."""
    (home / "work").mkdir(exist_ok=True)
    source = str(Path(__file__).resolve().parent.parent / "src")
    own = {"HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "PYTHONPATH": source, **more}
    kept = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("HF_", "PYTHONPATH"))}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, env=kept | own, cwd=home / "work", timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of one's own."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def answers(hub: tuple[Hub, str], home: Path) -> dict:
    pytest.importorskip("huggingface_hub")
    found, said = ask(home, hub[1], CALLS)
    assert not said.strip(), said  # no bar where no terminal listens
    return found


def test_only_what_belongs_to_a_model_is_fetched_and_it_loads(answers: dict, hub: tuple[Hub, str]):
    assert set(answers["whole"]["files"]) == FETCHED and answers["whole"]["width"] == 48
    assert set(answers["alone"]["files"]) == FETCHED - {"1_Pooling/config.json"}
    assert not [path for path in hub[0].asked if path.rpartition("resolve/")[2].partition("/")[2] in LEFT]


def test_a_revision_is_passed_on_and_what_is_cached_is_not_fetched_again(answers: dict, hub: tuple[Hub, str]):
    for call in ("again", "branch", "commit"):
        assert answers[call] == answers["whole"]
    assert COMMIT in answers["whole"]["folder"]
    wanted = [path for path in hub[0].asked if path.startswith("GET") and path.endswith("model.safetensors")]
    assert len([path for path in wanted if "/owner/whole/" in path]) == 1


@pytest.mark.parametrize(
    ("call", "name", "fragment"),
    [
        ("no revision", "owner/whole", r"(revision nowhere) has no such revision: a revision is a branch, a tag or a"),
        ("missing", "owner/missing", "is not on the hub, or is private: check the name, or log in with `hf auth"),
        ("private", "owner/private", "is not on the hub, or is private: check the name, or log in with `hf auth"),
        ("gated", "owner/gated", "is only for those who accepted its terms: do so on its page, and log in"),
        ("pickled", "owner/pickled", "`hf download owner/pickled --local-dir DIR`, then `weft convert DIR NEW --unsa"),
        ("no config", "owner/bare", "has no config.json"),
        ("cut", "owner/cut", "could not be fetched (OSError: Consistency check failed: file should be of size"),
        ("broken", "owner/broken", "is not in the cache, and the hub gave no answer (HfHubHTTPError: "),
    ],
)
def test_what_goes_wrong_is_said_with_the_way_out(call: str, name: str, fragment: str, answers: dict):
    assert f"the repository {name} " in answers[call]["error"] and fragment in answers[call]["error"]


def test_offline_the_cache_is_enough_and_what_is_not_in_it_is_refused(answers: dict, hub: tuple[Hub, str], home: Path):
    before = len(hub[0].asked)
    calls = [("whole", "owner/whole", None), ("other", "owner/other", None), ("old", "owner/whole", "old")]
    found, _ = ask(home, hub[1], calls, HF_HUB_OFFLINE="1")
    assert found["whole"] == answers["whole"] and len(hub[0].asked) == before
    for call, what in (("other", "owner/other"), ("old", "owner/whole (revision old)")):
        assert f"the repository {what} is not in the cache, and HF_HUB_OFFLINE forbids" in found[call]["error"]


def test_without_a_network_the_cache_is_enough(answers: dict, home: Path):
    found, _ = ask(home, "http://127.0.0.1:9", [("whole", "owner/whole", None), ("other", "owner/other", None)])
    assert found["whole"] == answers["whole"]
    assert "owner/other is not in the cache, and the hub gave no answer (ConnectError: " in found["other"]["error"]


# ---------------------------------------------------------------- folders and names


@pytest.mark.parametrize("name", ["owner/name", "name", "a.b/c-d_1.5"])
def test_names_that_a_repository_can_have(name: str):
    assert hosted(name) and not hosted(Path(name))


@pytest.mark.parametrize(
    "path",
    ["/no/where", "./name", "../name", "~/name", "a/b/c", "a//b", "model.gguf", "x/y.bin", "", "a b", "a\\b", "a/"],
)
def test_a_path_that_is_not_there_is_never_looked_up(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert not hosted(path)
    if path:  # which is the folder one is in
        with pytest.raises(
            LoadError, match="is not a folder: name the folder that training, saving or a download wrote"
        ):
            load(path)


def test_a_folder_is_itself_and_has_no_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find("owner/name") == Path("owner/name")
    with pytest.raises(LoadError, match="owner/name is here, and has no revisions: leave out revision = 'v1'"):
        find("owner/name", "v1")


def test_without_huggingface_hub_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(LoadError, match=r"no folder owner/name, .* needs huggingface_hub: pip install 'weft\[hub\]'"):
        load("owner/name")
    for words in (("show",), ("generate", "--prompt", "a"), ("eval", "--data", "x"), ("convert", "new")):
        verb, *rest = words
        done = weft(verb, "owner/name", *rest)
        assert done.status == 1 and "pip install 'weft[hub]'" in done.err
    assert not (tmp_path / "new").exists()
