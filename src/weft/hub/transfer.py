"""Loading and saving whole models: `weft.load`, `weft.save`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.data import ChatTemplate, LibraryTokenizer, Template, chat_files, read_chat, tokenizer_files
from weft.data.tokenizers import CONFIG as SAID
from weft.files import read_json, write_bytes, write_json
from weft.hub.error import LoadError
from weft.hub.fill import Device
from weft.hub.folder import (
    CONFIG,
    OWN,
    own_config,
    read_blueprint,
    read_config,
    read_module,
    read_plan,
    read_tokenizer,
)
from weft.hub.frames import as_ours
from weft.hub.inputs import written_vocab
from weft.hub.model import Model
from weft.hub.preprocessor import read_signals
from weft.hub.published import Origin, Plan
from weft.hub.sentences import Pooling, read_pooling
from weft.hub.source import KEPT, TOKENIZER, find
from weft.hub.stops import FILE, Stops, read_said, read_stops, with_ids
from weft.hub.version import plain
from weft.hub.weights import INDEX, WEIGHTS, Weights, open_weights
from weft.hub.write import outgoing, published_config, write_weights
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder
from weft.training import checkpoints
from weft.training.world import place

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}


def load(
    path: str | Path, dtype: torch.dtype | str | None = None, device: Device = None, revision: str | None = None
) -> Model:
    """The model in a folder, or of a name on the hub, in evaluation mode. Strict: LoadError names what does not fit.

        model = weft.load("models/gpt2")
        model.logits(torch.tensor([[464, 2068]]))

    dtype:    of the weights; None is fp32. "fp32", "bf16", "fp16" or torch's own.
    device:   where they go, "auto", "cuda", "mps" or torch's own; None is the CPU, where weights whose dtype is the
              file's stay mapped from it.
    revision: a branch, tag or commit on the hub; of a folder there is but one.

    A run of weft's that has not ended has no weights yet; its newest good checkpoint is taken, and `notices` says so.
    """
    try:
        there = place(str(device or "cpu"))
    except ValueError as error:
        raise LoadError(f"{path}: {error}. Leave device out for the CPU") from error
    folder = find(path, revision)
    notices = list[str]()
    plan, weights = read_plan(folder, partial(weights_of, say=notices.append))
    module, origin, more = read_module(plan, weights, folder / CONFIG, dtype=as_dtype(dtype), device=there)
    tokenizer, origin = belongings(folder, plan, origin)
    pooling = _pooling(origin.files, folder, notices.append)
    reads = read_signals(folder, plan.blueprint.config, plan.config)
    chat, vocab = _chat(origin.files, folder), written_vocab(module, plan.blueprint.config)
    stops = read_stops(folder, plan.config, tokenizer, vocab, notices.append)
    return Model(module, plan.blueprint, tokenizer, (*notices, *more), origin, pooling, stops, chat, reads)


def belongings(folder: Path, plan: Plan, origin: Origin) -> tuple[Tokenizer | None, Origin]:
    """The folder's tokenizer, and the origin with all that belongs to the model. LoadError for what is damaged, and for
    a tokenizer of another model."""
    tokenizer = published_tokenizer(folder) if plan.config else read_tokenizer(folder)
    vocab = plan.blueprint.config.vocab
    if tokenizer is not None and tokenizer.vocab > vocab:
        vocab = max(vocab, written_vocab(plan.blueprint.empty(), plan.blueprint.config))  # labels, of one that hears
    if tokenizer is not None and tokenizer.vocab > vocab:
        raise LoadError(
            f"{folder}: the tokenizer has {tokenizer.vocab} ids, the model's embedding {vocab}: "
            "they are not of one model"
        )
    files = kept_files(folder)
    if plan.config:
        beside = (folder / name for name in TOKENIZER if (folder / name).is_file())  # older forms of the same
        files |= {path.name: path.read_bytes() for path in (*beside, *tokenizer_files(folder))}
    return tokenizer, dataclasses.replace(origin, files=files, tokenizer=tokenizer if plan.config else None)


def published_tokenizer(folder: Path) -> Tokenizer | None:
    """A published model's: where its files say of no ids around a text, they say that there are none."""
    tokenizer = read_tokenizer(folder)
    if isinstance(tokenizer, LibraryTokenizer) and tokenizer.template is None:
        return tokenizer.framed(Template.around(None, None))
    return tokenizer


class Language(NamedTuple):
    """What a model's folder says of text. said: of generation; files: what else belongs to the model (a chat template,
    how sentences become vectors): for another folder of this model to keep."""

    tokenizer: Tokenizer | None
    stops: Stops
    said: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def begins(self) -> tuple[int, ...]:
        """The ids that targets begin with; none where no tokenizer says what ends them."""
        return () if self.tokenizer is None else self.stops.begins(self.tokenizer.end)

    def write(self, folder: Path) -> None:
        """What is said, into a folder in weft's own layout; nothing where nothing is."""
        for name, data in self.files.items():
            write_bytes(folder / name, data)
        if self.said:
            write_json(folder / FILE, self.said)


def read_language(folder: Path, say: Callable[[str], None] = lambda text: None) -> Language:
    """What a model's folder says of text; its weights are not read. LoadError for what is damaged."""
    config, blueprint = read_config(folder), read_blueprint(folder)
    vocab = written_vocab(blueprint.empty(), blueprint.config)
    published = config.get("model_type") != OWN
    tokenizer = published_tokenizer(folder) if published else read_tokenizer(folder)
    config = config if published else {}
    stops = read_stops(folder, config, tokenizer, vocab, say)
    files, beside = kept_files(folder), folder / SAID
    chat = _chat(files | ({SAID: beside.read_bytes()} if published and beside.is_file() else {}), folder)
    return Language(tokenizer, stops, read_said(folder, config), files | chat_files(chat))


def kept_files(folder: Path) -> dict[str, bytes]:
    """What a folder holds beside config, weights and tokenizer that belongs to the model, by name."""
    return {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}


def read_weights(folder: Path, blueprint: Blueprint) -> nn.Module:
    """The weights in a folder as the module of a blueprint, which may differ from its own in what has no weights."""
    plan, weights = read_plan(folder, weights_of)
    return read_module(dataclasses.replace(plan, blueprint=blueprint), weights, folder / CONFIG)[0]


def save(model: Model, path: str | Path, *, dtype: torch.dtype | str | None = None, shard: int | None = None) -> None:
    """Write a model as a folder that `load` reads back, in the Hugging Face layout, which the reference library reads
    too; a model that it has no class for (swapped parts, a family of one's own) in weft's own layout.

    dtype: of the weights; None is what each had in the file it came from, else what it has. shard: bytes of a file of
    weights at the most; None: one file.

    What belongs to the model (tokenizer, chat template, generation settings, pooling) is written too. Saving over the
    folder that a model was loaded from is safe.
    """
    tensors = model.module.state_dict()
    put(Path(path), model.blueprint, tensors, model.origin, model.tokenizer, dtype=dtype, shard=shard)


def put(
    folder: Path,
    blueprint: Blueprint,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    tokenizer: Tokenizer | None,
    *,
    dtype: torch.dtype | str | None,
    shard: int | None,
) -> bool:
    """Write a model's parts as `save` says it, its tensors one at a time; whether in the Hugging Face layout."""
    if shard is not None and shard < 1:
        raise ValueError(f"shard = {shard} bytes, but a file of weights needs at least 1")
    asked = None if dtype is None else as_dtype(dtype)
    most = asked or (origin.dtype if origin.dtypes else next(iter(tensors.values())).dtype)
    config = published_config(blueprint, origin, most)
    if folder.is_file():
        raise ValueError(f"{folder} is a file, and a model is a folder: choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    given = outgoing(blueprint, tensors, config, origin, asked)
    if config is not None and not origin.config and tokenizer is not None:
        config |= (ids := _ids(blueprint, tokenizer))
        if "decoder_start_token_id" in ids:  # else some classes of theirs force an end of their own
            write_json(folder / FILE, ids)
    write_json(folder / CONFIG, own_config(blueprint) if config is None else plain(config))
    kept = config is not None and tokenizer is origin.tokenizer  # its files are written as they were
    if tokenizer is not None and not kept:
        (tokenizer if config is None else _framed(blueprint, origin, tokenizer)).save(folder)
        if config is not None and not origin.config:
            _say_class(folder, tokenizer)
    for name, data in origin.files.items():
        if name in KEPT or kept:
            write_bytes(folder / name, data)
    if config is None and origin.config:  # which is not written
        said = with_ids(json.loads(origin.files.get(FILE, b"{}")), origin.config)
        Language(tokenizer, Stops(), said, chat_files(_chat(origin.files, folder))).write(folder)
    write_weights(folder, given, shard=shard, metadata=None if config is None else {"format": "pt"})
    return config is not None


def _framed(blueprint: Blueprint, origin: Origin, tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer whose file says what weft puts around ids where no folder said it: others then do the same."""
    if origin.config or not isinstance(tokenizer, LibraryTokenizer) or tokenizer.template is not None:
        return tokenizer
    return as_ours(blueprint, tokenizer)


def _ids(blueprint: Blueprint, tokenizer: Tokenizer) -> dict[str, Any]:
    """Which ids begin and end what a model of weft's own writes, in the words of config.json, so that others stop and
    start where weft does."""
    module, end = blueprint.empty(), tokenizer.end
    if isinstance(module, Encoder):
        return {}
    start = {"decoder_start_token_id": end} if isinstance(module, EncoderDecoder) else {"bos_token_id": end}
    return {"eos_token_id": end, "pad_token_id": end} | start


def _say_class(folder: Path, tokenizer: Tokenizer) -> None:
    """tokenizer_config.json for a tokenizer that no class of the reference's is known for: it is what its file says."""
    if not isinstance(tokenizer, LibraryTokenizer):
        return
    path, end = folder / "tokenizer_config.json", tokenizer.name(tokenizer.end)
    said = read_json(path) if path.is_file() else {"eos_token": end, "pad_token": end}
    write_json(path, {"tokenizer_class": "PreTrainedTokenizerFast"} | said)


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """torch's dtype of weights; None is fp32. ValueError for what is none."""
    if dtype is None:
        return torch.float32
    found = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if isinstance(dtype, str) and found is None:
        found = {str(kind).removeprefix("torch."): kind for kind in _DTYPES.values()}.get(dtype.removeprefix("torch."))
    if found not in _DTYPES.values():
        raise ValueError(f"dtype = {dtype!r}, but weights are {', '.join(_DTYPES)}, or torch's dtypes for these")
    assert found is not None
    return found


def _pooling(files: Mapping[str, bytes], folder: Path, say: Callable[[str], None]) -> Pooling | None:
    """What the folder declares of sentence vectors; where that is not understood the model is still one, and it is
    said."""
    try:
        return read_pooling(files)
    except ValueError as error:
        say(f"{folder}: {error}; embed(texts, pooling=…) takes another")
        return None


def _chat(files: Mapping[str, bytes], folder: Path) -> ChatTemplate | None:
    """The folder's chat template. LoadError for one that is damaged."""
    try:
        return read_chat(files)
    except ValueError as error:
        raise LoadError(f"{folder}: {error}") from error


def weights_of(folder: Path, say: Callable[[str], None] = lambda text: None) -> Weights:
    """A folder's weights; where a run of weft's has not ended those of its newest checkpoint, which is said."""
    try:
        unfinished = folder.is_dir() and not any((folder / name).is_file() for name in (WEIGHTS, INDEX))
        found = checkpoints.latest(folder) if unfinished else None
    except ValueError as error:
        raise LoadError(str(error)) from error
    if found is None:
        return open_weights(folder)
    for notice in (*found.notices, f"{folder} is not finished: this is its checkpoint of step {found.step}"):
        say(notice)
    return Weights({found.path / WEIGHTS: None})
