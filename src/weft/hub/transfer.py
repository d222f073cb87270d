"""Loading and saving whole models: `weft.load`, `weft.save`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from weft.batch import Tokenizer
from weft.data import LibraryTokenizer, Template, tokenizer_files
from weft.files import write_bytes, write_json
from weft.hub.error import LoadError
from weft.hub.fill import Device
from weft.hub.folder import CONFIG, own_config, read_module, read_plan, read_tokenizer
from weft.hub.model import Model
from weft.hub.published import Origin, Plan
from weft.hub.sentences import Pooling, read_pooling
from weft.hub.source import KEPT, find
from weft.hub.stops import read_stops
from weft.hub.weights import INDEX, WEIGHTS, Weights, open_weights
from weft.hub.write import outgoing, published_config, write_weights
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder
from weft.training import checkpoints

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}


def load(
    path: str | Path, *, dtype: torch.dtype | str | None = None, device: Device = None, revision: str | None = None
) -> Model:
    """The model in a folder, or of a name on the hub, in evaluation mode. Strict: LoadError names what does not fit.

        model = weft.load("models/gpt2")
        model.logits(torch.tensor([[464, 2068]]))

    dtype:    of the weights; None is fp32. "fp32", "bf16", "fp16" or torch's own.
    device:   where they go; None is the CPU, where weights whose dtype is the file's stay mapped from it.
    revision: a branch, tag or commit on the hub; of a folder there is but one.

    A run of weft's that has not ended has no weights yet; its newest good checkpoint is taken, and `notices` says so.
    """
    folder = find(path, revision)
    notices = list[str]()
    plan, weights = read_plan(folder, partial(weights_of, say=notices.append))
    module, origin, more = read_module(plan, weights, folder / CONFIG, dtype=as_dtype(dtype), device=device)
    tokenizer, origin = belongings(folder, plan, origin)
    pooling = _pooling(origin.files, folder, notices.append)
    stops = read_stops(folder, plan.config, tokenizer, plan.blueprint.config.vocab, notices.append)
    return Model(module, plan.blueprint, tokenizer, (*notices, *more), origin, pooling, stops)


def belongings(folder: Path, plan: Plan, origin: Origin) -> tuple[Tokenizer | None, Origin]:
    """The folder's tokenizer, and the origin with all that belongs to the model. LoadError for what is damaged, and for
    a tokenizer of another model."""
    tokenizer, vocab = read_tokenizer(folder), plan.blueprint.config.vocab
    if plan.config and isinstance(tokenizer, LibraryTokenizer) and tokenizer.template is None:
        tokenizer.template = Template.around(None, None)  # the file says that nothing is
    if tokenizer is not None and tokenizer.vocab > vocab:
        raise LoadError(
            f"{folder}: the tokenizer has {tokenizer.vocab} ids, the model's embedding {vocab}: "
            "they are not of one model"
        )
    files = {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}
    if plan.config:
        files |= {path.name: path.read_bytes() for path in tokenizer_files(folder)}
    return tokenizer, dataclasses.replace(origin, files=files, tokenizer=tokenizer if plan.config else None)


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
    folder.mkdir(parents=True, exist_ok=True)
    given = outgoing(blueprint, tensors, config, origin, asked)
    write_json(folder / CONFIG, own_config(blueprint) if config is None else config)
    if tokenizer is not None and tokenizer is not origin.tokenizer:
        (tokenizer if config is None else _framed(blueprint, origin, tokenizer)).save(folder)
    for name, data in origin.files.items():
        if name in KEPT or tokenizer is origin.tokenizer:
            write_bytes(folder / name, data)
    write_weights(folder, given, shard=shard, metadata=None if config is None else {"format": "pt"})
    return config is not None


def _framed(blueprint: Blueprint, origin: Origin, tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer whose file says what weft puts around ids where no folder said it: others then do the same."""
    module, end = blueprint.empty(), tokenizer.end
    if origin.config or isinstance(module, Encoder) or not isinstance(tokenizer, LibraryTokenizer):
        return tokenizer
    translates = isinstance(module, EncoderDecoder)
    return tokenizer.framed(Template.around(None, end) if translates else Template.around(end, None))


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
