"""What is written as config.json is what was meant: every field of every published family, changed one at a time."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from odd import every

from weft.hub.fields import read_fields, write_fields
from weft.hub.version import modern
from weft.models import FAMILIES, Blueprint, reading
from weft.models.kin import layer_fields
from weft.models.published import Published
from weft.nn import ACTIVATIONS, RopeScheme
from weft.nn.rope import Linear

PUBLISHED = [name for name in reading("text") if FAMILIES.get(name).published]
WORDS = {  # of fields that hold words: what else they may hold
    "wiring": ("sequential", "parallel", "shared", "normed"), "pattern": (("self",), ("self", "local", "self")),
    "terms": ((), ("c2p",), ("p2c", "c2p")), "tasks": ((), ("masked",), ("replaced",), ("next_sentence",)),
    "qk_like": ("inputs", "latents"),
}  # fmt: skip


def declared(name: str) -> Published:
    published = FAMILIES.get(name).published
    assert published is not None
    return published


def bases(name: str) -> Iterator[Blueprint]:
    """The family's defaults, its debug size, and its odd configurations."""
    yield Blueprint.of(name)
    yield Blueprint.of(name, "debug")
    for case in every()[name]:
        yield read(name, {"model_type": declared(name).model_type, "architectures": [case.kind], **case.fields})


def read(name: str, data: dict[str, Any]) -> Blueprint:
    return read_fields(modern(json.loads(json.dumps(data)))).blueprint


def others(config: Any, name: str) -> Iterator[Any]:
    """Other values of a field."""
    value, hint = getattr(config, name), get_type_hints(type(config))[name]
    kinds = get_args(hint) or (hint,)
    if type(None) in kinds and value is not None:
        yield None
    if name in WORDS:
        yield from (other for other in WORDS[name] if other != value)
    elif bool in kinds:
        yield not value
    elif int in kinds:
        yield from ((value or 6) + 2, (value or 6) * 3)
    elif float in kinds:
        yield (value or 0.25) / 2
    elif str in kinds:
        yield from (act for act in ACTIVATIONS if act != value)
    elif isinstance(value, RopeScheme):
        yield from (dataclasses.replace(value, theta=77.0), dataclasses.replace(value, scaling=Linear(3.0)))
    else:
        raise AssertionError(f"{name}: {hint} has no other values here: name some in WORDS")


def meant(config: Any, told: Any, published: Published) -> Any:
    """A config as far as fields can say it: what tensors tell is as it is `told`; what another field says is None."""
    seam = published.seam.fields if published.seam else ()
    fields = {found.field: getattr(told, found.field) for found in published.found}
    fields |= {"tied": told.tied} if "tied" in seam else {}  # the head in the file, or none
    follows = {key.ours: key.follows for key in published.keys if key.follows}
    follows |= {"kv_heads": "heads"} if "kv_heads" in seam else {}
    fields |= {name: None for name, other in follows.items() if getattr(config, name) == getattr(config, other)}
    if "pattern" in seam:
        fields["pattern"] = tuple(layer_fields(config.pattern, config.depth))
    return dataclasses.replace(config, **fields)


def changed(base: Blueprint) -> Iterator[tuple[str, Blueprint]]:
    """Each field with another value; not those in place of which the position scheme is read, where there is one."""
    dead = ("theta", "part") if base.position is not None else ()
    for field in dataclasses.fields(base.config):
        for value in () if field.name in dead else others(base.config, field.name):
            try:
                config = dataclasses.replace(base.config, **{field.name: value})
            except ValueError:  # the family knows no such word
                continue
            yield f"{field.name} = {value!r}", dataclasses.replace(base, config=config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_field_that_is_changed_is_written_and_read_back(name: str) -> None:
    """Or written as None: then the model is saved in weft's own layout. The config it was changed from may be there."""
    published, said, silent = declared(name), 0, 0
    for base in bases(name):
        origin = write_fields(base)
        assert origin is not None
        for what, blueprint in changed(base):
            wanted = meant(blueprint.config, blueprint.config, published)
            for written in (write_fields(blueprint), write_fields(blueprint, origin | {"bos_token_id": 7})):
                if written is None:
                    silent += 1
                    continue
                again, said = read(name, written), said + 1
                assert meant(again.config, blueprint.config, published) == wanted, f"{what}: {written}"
                assert again.position == blueprint.position, f"{what}: {written}"
    assert said > silent
