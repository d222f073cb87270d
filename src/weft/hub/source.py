"""Where a model lies: a folder, or a repository on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from weft.hub.error import LoadError
from weft.hub.weights import INDEX, WEIGHTS, unlike

# What belongs to a model beside config, weights and tokenizer: kept as it is, and written again.
KEPT = (
    "generation_config.json",
    "preprocessor_config.json",
    "processor.json",
    "processor_config.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "*.spm",
    "target_vocab.json",
)
# All that is fetched: no pickles, no code, no other formats, no other precision beside the one that is read.
_FETCHED = ("config.json", WEIGHTS, INDEX, "model-*.safetensors", *KEPT, *TOKENIZER)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?")
_FILES = (".bin", ".ckpt", ".gguf", ".h5", ".json", ".onnx", ".pt", ".pth", ".py", ".safetensors", ".txt", ".zip")
_REASONS = {  # of huggingface_hub's errors, the more special first; what came of it, and the way out
    "GatedRepoError": "is only for those who accepted its terms: do so on its page, and log in with `hf auth login`",
    "RepositoryNotFoundError": "is not on the hub, or is private: check the name, or log in with `hf auth login`",
    "RevisionNotFoundError": "has no such revision: a revision is a branch, a tag or a commit of the repository",
    "OfflineModeIsEnabled": "is not in the cache, and HF_HUB_OFFLINE forbids to fetch it: fetch it once without",
    "LocalEntryNotFoundError": "is not in the cache, and the hub gave no answer ({}): try again, or name a folder",
}


def hosted(name: str | Path) -> bool:
    """Whether a name that is none of a file or folder here can be a repository's, `owner/name` or `name`. A Path never
    is."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and not name.endswith(_FILES)


def find(path: str | Path, revision: str | None = None) -> Path:
    """The folder that `path` names: one that is there, else the copy of a repository of this name in the cache of
    huggingface_hub, which fetches what is missing (from the cache alone where HF_HUB_OFFLINE is set).

    revision: a branch, tag or commit of the repository; None: its main branch. LoadError says what went wrong.
    """
    folder = Path(path)
    if folder.exists():
        if revision is not None:
            raise LoadError(f"{path} is here, and has no revisions: leave out revision = {revision!r}")
        return folder
    if not hosted(path):
        raise LoadError(
            f"{path} is not a folder: name the folder that training, saving or a download wrote, or a model of the hub "
            "as owner/name"
        )
    fetched = _fetch(str(path), revision)
    if not (fetched / "config.json").is_file():
        raise LoadError(f"the repository {path} has no config.json: {unlike(fetched) or 'it is for another library'}")
    if not any((fetched / file).is_file() for file in (WEIGHTS, INDEX)):
        raise LoadError(
            f"the repository {path} has no {WEIGHTS}, and weft fetches no other weights. If they are pickled (.bin): "
            f"`hf download {path} --local-dir DIR`, then `weft convert DIR NEW --unsafe-pickle`; if they are GGUF or "
            "an adapter's: take the repository that they were made from"
        )
    return fetched


def _fetch(name: str, revision: str | None) -> Path:
    """A repository's files in the cache. LoadError for everything that can befall them on the way."""
    try:
        hub, utils = import_module("huggingface_hub"), import_module("huggingface_hub.utils")  # here: an extra
    except ImportError as error:
        raise LoadError(
            f"there is no folder {name}, and to fetch a model of this name from the hub needs huggingface_hub: "
            "pip install 'weft[hub]'"
        ) from error
    with _quiet(utils):
        try:
            return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(_FETCHED)))
        except Exception as error:  # whatever the libraries below raise, in any of their versions
            raise LoadError(_said(name, revision, error)) from error


@contextlib.contextmanager
def _quiet(bars: Any) -> Iterator[None]:
    """No progress bars where no terminal listens."""
    if sys.stderr.isatty() or bars.are_progress_bars_disabled() or "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ:
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


def _said(name: str, revision: str | None, error: Exception) -> str:
    """What befell a repository, and the way out."""
    what = f"there is no folder {name}, and the repository {name}"
    what += "" if revision is None else f" (revision {revision})"
    causes = [error, error.__cause__] if error.__cause__ is not None else [error]
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    last = causes[-1]
    text = f"{type(last).__name__}: {' '.join(str(last).split())[:300]}"
    for kind, reason in _REASONS.items():
        if kind in kinds:
            return f"{what} {reason.format(text)}"
    return f"{what} could not be fetched ({text}): try again, or name a folder"
