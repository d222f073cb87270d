"""A folder of weights written anew: `weft convert`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from weft.files import new_folder
from weft.hub.fill import finite, not_finite
from weft.hub.folder import CONFIG, matched, read_plan
from weft.hub.foreign import pickled
from weft.hub.heads import Averaged, fewer
from weft.hub.published import Origin
from weft.hub.source import find
from weft.hub.transfer import belongings, put, weights_of
from weft.hub.weights import PICKLED, Weights


@dataclass(frozen=True)
class Converted:
    """What converting read and wrote.

    read:      the folder.          tensors: of the files that were read.    bytes: of these tensors.
    written:   bytes by file.       published: whether in the Hugging Face layout, or in weft's own.
    notices:   for people.
    """

    read: Path
    tensors: int
    bytes: int
    written: Mapping[str, int]
    published: bool
    notices: tuple[str, ...] = ()


def convert(
    source: str | Path,
    target: str | Path,
    *,
    dtype: torch.dtype | str | None = None,
    shard: int | None = None,
    kv_heads: int | None = None,
    unsafe_pickle: bool = False,
) -> Converted:
    """Write the model in `source` (a folder, a name on the hub) as the new folder `target`: whole, or not at all.

    dtype, shard: as `save` has them. kv_heads: make a grouped-query model of it, see `weft.hub.heads`. unsafe_pickle:
    take the folder's pickled weights, or `source` itself where it is such a file; see `weft.hub.foreign`. Tensors are
    read, checked and written one at a time; no module is filled.

    LoadError for a source that does not load; ValueError for a target that has content already, and for a number of
    key/value heads that this model's cannot be made into.
    """
    named = find(source)
    folder = named.parent if unsafe_pickle and named.is_file() and named.suffix in PICKLED else named
    notices = list[str]()
    with new_folder(target) as new:
        aside = new / "unpickled"

        def opened(folder: Path) -> Weights:
            return pickled(named, aside) if unsafe_pickle else weights_of(folder, say=notices.append)

        plan, weights = read_plan(folder, opened)
        module, incoming = matched(plan, weights, folder / CONFIG)
        strange = [incoming.file(name) for name, tensor in incoming.items() if not finite(tensor)]
        tokenizer, origin = belongings(folder, plan, Origin(plan.config, incoming.dtypes, plan.dead, plan.head))
        blueprint, tensors = plan.blueprint, cast(Mapping[str, Tensor], incoming)
        if kv_heads is not None:
            blueprint = fewer(blueprint, kv_heads)
            tensors = Averaged(incoming, module, blueprint.empty())
        published = put(new, blueprint, tensors, origin, tokenizer, dtype=dtype, shard=shard)
        shutil.rmtree(aside, ignore_errors=True)
        written = {path.relative_to(new).as_posix(): path.stat().st_size for path in new.rglob("*") if path.is_file()}
    said = (*notices, *plan.notices, *not_finite(strange))
    return Converted(named, len(weights), weights.bytes, dict(sorted(written.items())), published, said)


def size_of(text: str) -> int:
    """Bytes: "2GB" (10^9 each), "500MiB" (2^20 each), or a number of them. ValueError for what is none."""
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    number = text.strip().upper().rstrip("KMGIB")
    unit = text.strip().upper()[len(number) :]
    if not number.strip().isdecimal() or unit not in units or int(number) < 1:
        raise ValueError(f"{text!r} is no size: write it as 2GB, 500MB or a number of bytes")
    return int(number) * units[unit]
