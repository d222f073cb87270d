"""What a pickle of tensors says, carried out on plain data; whatever else it asks for is refused by name.

A pickle is a program, and whoever runs it as Python does has run what its author wished. Here nothing is run: opcodes
are read one by one, and those that a state dict of tensors needs build lists, dicts and descriptions of tensors. What
may be called are the four stand-ins below; nothing is looked up or imported by a name from the file.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple


class Refused(ValueError):
    """What the file holds or asks for that a file of tensors does not."""


class Kind(NamedTuple):
    """A sort of number: the safetensors format's name, and its bytes."""

    name: str
    size: int


class Storage(NamedTuple):
    """Numbers in a row, which tensors share. key: where they are in the file; numbers: how many."""

    kind: Kind
    key: str
    numbers: int


class Tensor(NamedTuple):
    """Where a tensor's numbers are in a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Call(NamedTuple):
    """What may be called, by the name that the file gives it."""

    name: str
    run: Callable[..., Any]


_KINDS = {
    f"torch {name}Storage": Kind(*kind)
    for name, kind in {
        "Double": ("F64", 8), "Float": ("F32", 4), "Half": ("F16", 2), "BFloat16": ("BF16", 2), "Long": ("I64", 8),
        "Int": ("I32", 4), "Short": ("I16", 2), "Char": ("I8", 1), "Byte": ("U8", 1), "Bool": ("BOOL", 1),
    }.items()
}  # fmt: skip


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """torch._utils._rebuild_tensor_v2: the rest is of gradients and hooks. Checked against the storage."""
    whole = all(type(value) is int and 0 <= value < 2**63 for value in (offset, *shape, *strides))
    if type(storage) is not Storage or not whole or len(shape) != len(strides) or len(shape) > 64:
        raise Refused("a tensor is not described as one: a storage, an offset, a shape and strides")
    count = math.prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) if count else 0
    if count > storage.numbers or last >= max(storage.numbers, 1):
        raise Refused(f"a tensor {list(shape)} reaches past its storage of {storage.numbers} numbers")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _pairs(pairs: Any = ()) -> dict[Any, Any]:
    """collections.OrderedDict."""
    found: dict[Any, Any] = {}
    for name, value in pairs:
        _put(found, name, value)
    return found


_CALLS = {
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
    "collections OrderedDict": _pairs,
    "torch Size": tuple,
}


def _named(name: str) -> Kind | Call:
    """What a pickle's global stands for."""
    if name in _KINDS:
        return _KINDS[name]
    if name in _CALLS:
        return Call(name, _CALLS[name])
    raise Refused(f"the pickle asks for {ascii(name.replace(' ', '.'))[1:-1][:120]}: refused")


def _put(found: Any, name: Any, value: Any) -> None:
    if type(found) is not dict or type(name) not in (str, int):
        raise Refused(f"an entry named by a {type(name).__name__} in a {type(found).__name__}: refused")
    found[name] = value


# What pushes its own argument; what makes one value of all since the mark, or of the last few.
# fmt: off
_PLAIN = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}
# fmt: on
_FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}  # fmt: skip
_LAST = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Machine:
    """Carries out the opcodes of one pickle on plain data."""

    def __init__(self, storage: Callable[[Any], Storage]) -> None:
        """storage: what a persistent id, a tuple, stands for."""
        self.storage = storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: Any) -> Any:
        """The value of the pickle that begins here in a file, or in a map of one, which is left behind it."""
        for opcode, argument, _ in pickletools.genops(stream):
            self.step(opcode.name, argument)
        return self.stack.pop()

    def since(self) -> list[Any]:
        """What was pushed since the last mark, taken off."""
        place = self.marks.pop()
        values = self.stack[place:]
        del self.stack[place:]
        return values

    def step(self, name: str, argument: Any) -> None:
        stack, memo = self.stack, self.memo
        if name in _PLAIN:
            stack.append(argument)
        elif name in _FIXED:
            stack.append(_FIXED[name]())
        elif name in _LAST:
            stack[-_LAST[name] :] = [tuple(stack[-_LAST[name] :])]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("TUPLE", "LIST"):
            values = self.since()
            stack.append(tuple(values) if name == "TUPLE" else values)
        elif name not in ("PROTO", "FRAME", "STOP"):
            self.build(name, argument)

    def build(self, name: str, argument: Any) -> None:
        """What puts values into others, and what asks for something by its name."""
        stack = self.stack
        if name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else self.since()
            if type(stack[-1]) is not list:
                raise Refused(f"values are appended to a {type(stack[-1]).__name__}: refused")
            stack[-1].extend(values)
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            if name == "SETITEM":
                self.marks.append(len(stack) - 2)
            values = self.since()
            if name == "DICT":
                stack.append({})
            for key, value in zip(values[::2], values[1::2], strict=True):
                _put(stack[-1], key, value)
        elif name == "GLOBAL":
            stack.append(_named(argument))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_named(f"{stack[-2]!s} {stack[-1]!s}" if type(stack[-1]) is type(stack[-2]) is str else "?")]
        elif name == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            if type(called) is not Call or type(arguments) is not tuple:
                raise Refused(f"the pickle calls a {type(called).__name__}: refused")
            stack.append(called.run(*arguments))
        elif name == "BUILD" and type(stack[-2]) is dict:
            stack.pop()  # versions of modules, beside a state dict
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        else:
            more = f" of {ascii(argument)[1:-1][:120]}" if name == "INST" else ""
            raise Refused(f"the pickle does what no file of tensors needs ({name}{more}): refused")


def described(saved: Any) -> Storage:
    """The storage of a persistent id ("storage", kind, key, device, count[, None]); where it was matters no more."""
    if type(saved) is not tuple or len(saved) not in (5, 6) or saved[0] != "storage" or saved[5:] not in ((), (None,)):
        raise Refused("the pickle refers to something outside of it that is no plain storage: refused")
    _, kind, key, _, count = saved[:5]
    if type(kind) is not Kind or type(key) is not str or type(count) is not int or not 0 <= count < 2**60:
        raise Refused("a storage is not described as one: a kind, a key and a count")
    return Storage(kind, key, count)
