"""weft's own files in folders that are searched for text: what runs, token stores and saved models are made of."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from weft.data.store import FILE, PART_FILE, TEXT, TOKENIZER, is_store
from weft.data.tokenizers import CONFIG
from weft.files import DamagedFile, read_json

_MODEL = ("config.json", "model.safetensors", "tokenizer.json")
# fmt: off
_RUN = (
    *_MODEL, CONFIG, "generation_config.json", "chat_template.jinja", "additional_chat_templates",
    "additional_chat_templates/tool_use.jinja", "modules.json", "1_Pooling", "1_Pooling/config.json",
    "sentence_bert_config.json", "config_sentence_transformers.json", "processor.json", "preprocessor_config.json",
    "processor_config.json",
    "captions.json", "run.json", "log.jsonl", "loss.png", "report.json", "report.html",
    "checkpoints", "tokens", "tensorboard", "wandb", "wandb.json",
)
# fmt: on
_ASIDE = "log-[0-9]*.jsonl"  # logs of runs that left no checkpoint


class Own:
    """Tells weft's own files from others by what the folders that they lie in hold; each folder is looked at once."""

    def __init__(self) -> None:
        self._names = cache(_names)

    def wrote(self, path: Path) -> bool:
        """Whether weft wrote a file, or a folder that it lies in."""
        path = path.absolute()
        return any(child.name in self._names(child.parent) for child in (path, *path.parents))


def _names(folder: Path) -> frozenset[str]:
    """What weft wrote into a folder, by name."""
    found: set[str] = set()
    if _is_run(folder):
        found.update(_RUN, (path.name for path in folder.glob(_ASIDE)))
    elif _says(folder / "config.json").get("model_type") == "weft":
        found.update(_MODEL)
    if _says(folder / "words.json").get("weft") == "vectors":
        found.add("words.json")
    if is_store(folder):
        parts = [path.name for path in folder.iterdir() if PART_FILE.fullmatch(path.name)]
        if parts:  # else another program's store.json
            found.update((FILE, TOKENIZER, CONFIG, TEXT, *parts))
    return frozenset(found)


def _is_run(folder: Path) -> bool:
    """Whether a run was begun in it, with its description or, by a program, without."""
    if (folder / "log.jsonl").is_file() and (folder / "checkpoints").is_dir():
        return True
    return {"recipe", "settings", "data_digest"} <= _says(folder / "run.json").keys()


def _says(path: Path) -> dict[str, Any]:
    """What a file of JSON holds; nothing where there is none, or it is no JSON object."""
    try:
        found = read_json(path) if path.is_file() else {}
    except (DamagedFile, OSError):
        return {}
    return found if isinstance(found, dict) else {}
