"""The tensors of a published file by the names of a family's table: prefixes, old names, ties, what is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft.hub.moves import MismatchError, Table, named
from weft.models import FAMILIES, Blueprint, Family
from weft.models.published import Published, Spare


@dataclass(frozen=True)
class Settled:
    """What a file's names mean. names: the table's -> the file's; config: ours, with what the tensors say of it; dead:
    those that the reference does not compute with and keeps all the same; notices: for people."""

    names: dict[str, str]
    config: Any
    dead: dict[str, str]
    notices: tuple[str, ...] = ()


def settle(family: Family, config: Any, names: Iterable[str], same: Callable[[str, str], bool]) -> Settled:
    """The names of a file, settled against what the family declares, and so those of the models inside.

    same: whether two tensors of the file are equal. MismatchError where two names mean one tensor, or tensors differ
    that can only be one.
    """
    return _settle(family, config, {name: name for name in names}, same)


def _settle(family: Family, config: Any, files: Mapping[str, str], same: Callable[[str, str], bool]) -> Settled:
    """files: names, without what a model around this one puts before them -> the file's."""
    declared, table = family.published, family.rows(config)
    assert declared is not None
    left, inside, fields = dict(files), list[Settled](), dict[str, Blueprint]()
    for inner in declared.inner:
        blueprint = getattr(config, inner.ours)
        theirs = FAMILIES.get(blueprint.family)
        own = _inside(theirs, blueprint.config, named(table), inner.prefix, left)
        left = {name: file for name, file in left.items() if name not in own}
        found = _settle(theirs, blueprint.config, {name[len(inner.prefix) :]: own[name] for name in own}, same)
        inside.append(_outside(found, inner.prefix))
        fields[inner.ours] = replace(blueprint, config=found.config)
    settled = _own(declared, table, replace(config, **fields), left, same)
    for found in inside:
        notices = settled.notices + found.notices
        settled = Settled(settled.names | found.names, settled.config, settled.dead | found.dead, notices)
    return settled


def _inside(
    family: Family, config: Any, ours: Callable[[str], bool], prefix: str, names: Mapping[str, str]
) -> dict[str, str]:
    """Those names that are a model's inside: they have its prefix, it understands the rest, and they are not `ours`."""
    declared = family.published
    assert declared is not None
    understood = _understanding(declared, family.table(config))

    def its(name: str) -> bool:
        return name.startswith(prefix) and not ours(name) and understood(name[len(prefix) :]) is not None

    return {name: file for name, file in names.items() if its(name)}


def _outside(found: Settled, prefix: str) -> Settled:
    """Names as the model around calls them."""
    names, dead = ({prefix + name: file for name, file in part.items()} for part in (found.names, found.dead))
    return Settled(names, found.config, dead, found.notices)


def _own(
    declared: Published, table: Table, config: Any, files: Mapping[str, str], same: Callable[[str, str], bool]
) -> Settled:
    """The names that are of no model inside."""
    there, known = _canonical(declared, table, files), named(table)
    there = {name: file for name, file in there.items() if known(name) or not _matches(declared.ignored, name)}
    config, notices = _untied(declared, there, config, same)
    dead = dict[str, str]()
    for twin in declared.twins:
        if twin.used in there and twin.other in there:
            dead[twin.other] = there[twin.other]
        if twin.used in there:
            there[twin.other] = there.pop(twin.used)
    dead |= {spare.theirs: there.pop(spare.theirs) for spare in spares(declared, config) if spare.theirs in there}
    return Settled(there, _found(declared, config, there), dead, tuple(notices))


def spares(declared: Published, config: Any) -> list[Spare]:
    """Those of the declaration that this config does not compute with."""
    return [spare for spare in declared.spares if not (spare.unless and getattr(config, spare.unless))]


def _untied(
    declared: Published, there: dict[str, str], config: Any, same: Callable[[str, str], bool]
) -> tuple[Any, list[str]]:
    """The config with what the tensors say of ties, and notices; copies of what is tied are taken out of `there`."""
    notices, copies = list[str](), list[tuple[str, str]]()
    for tie in declared.ties:
        if tie.copy not in there:
            continue
        tied = getattr(config, tie.flag) if tie.flag else True
        original = next((name for name in tie.originals if name in there), None)
        if original is None:
            if tied:
                there[tie.originals[-1]] = there.pop(tie.copy)
        elif same(there[tie.copy], there[original]):
            copies.append((tie.copy, tie.flag))
        elif not tie.flag:
            raise MismatchError(f"{there[tie.copy]} and {there[original]} are one tensor, and differ")
        else:
            if tied:
                notices.append(
                    f"{there[tie.copy]} is not {there[original]}: they stay apart, although the config ties them"
                )
            config = replace(config, **{tie.flag: False})
    for copy, flag in copies:  # where one of several differs, all stay
        if not flag or getattr(config, flag):
            del there[copy]
    return config, notices


def names_of(declared: Published, config: Any, name: str, *, bare: bool) -> list[str]:
    """What a tensor of the table's name is called in a file that is written, once or twice; `bare`: of a class without
    heads."""
    twins = [twin.used for twin in declared.twins if twin.other == name and not getattr(config, twin.flag)]
    return [own.removeprefix(declared.prefix) if bare else own for own in (name, *twins)]


def _canonical(declared: Published, table: Table, files: Mapping[str, str]) -> dict[str, str]:
    """The table's name of each of a file's."""
    understood, there = _understanding(declared, table), dict[str, str]()
    for own, file in files.items():
        name = understood(own) or own
        if name in there:
            raise MismatchError(f"{there[name]} and {file} are both {name}")
        there[name] = file
    return there


def _understanding(declared: Published, table: Table) -> Callable[[str], str | None]:
    """What gives the table's name: old ones renamed, the prefix added where only that makes a known one; None for a
    name that means nothing."""
    known = named(table)
    special = {name for tie in declared.ties for name in (tie.copy, *tie.originals)}
    special |= {twin.used for twin in declared.twins} | {spare.theirs for spare in declared.spares}

    def understood(name: str) -> bool:
        return known(name) or name in special or _matches(declared.ignored, name)

    def canonical(name: str) -> str | None:
        for old, new in declared.renamed:
            if old.endswith("."):
                name = new + name.removeprefix(old) if name.startswith(old) else name
            else:
                name = name.removesuffix(old) + new if name.endswith(old) else name
        return next((full for full in (name, declared.prefix + name) if understood(full)), None)

    return canonical


def _matches(patterns: Iterable[str], name: str) -> bool:
    """Whether a name is one of the patterns', in which * is a number."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", r"\d+"), name) for pattern in patterns)


def _found(declared: Published, config: Any, names: Iterable[str]) -> Any:
    """The config with what the tensors that are there say of it."""
    names, told = set(names), dict[str, Any]()
    for found in declared.found:
        several = isinstance(getattr(config, found.field), tuple)
        told.setdefault(found.field, () if several else False)
        if found.theirs in names:
            told[found.field] = (*told[found.field], found.value) if several else found.value
    return replace(config, **told)
