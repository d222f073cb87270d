"""Named things: families, objectives, sources, tokenizers; also from other distributions, through entry points."""

import difflib
import importlib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownName(ValueError):
    """A name that nothing is registered under."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """That of `names` which `name` may be a misspelling of; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def suggest(name: str, names: Iterable[str]) -> str:
    """What an error about an unknown name ends in: the nearest of `names`, where one is near, and all of them."""
    known = list(names)
    near = nearest(name, known)
    return (f"did you mean {near!r}? " if near else "") + f"there are: {', '.join(known) or 'none'}"


class Registry(Generic[T]):
    """Values of one kind by name.

    Nothing is imported before the first `get` or `names`. Entry points of other distributions are listed by name and
    loaded only when asked for, so a broken plug-in harms nobody who does not use it.
    """

    def __init__(self, kind: str, group: str, builtin: tuple[str, ...] = ()) -> None:
        """`kind` is the word used in errors ("family"), `group` the entry points' group ("weft.families"), `builtin`
        the modules that register themselves when imported."""
        self.kind = kind
        self.group = group
        self._builtin = builtin
        self._values: dict[str, T] = {}
        self._plugins: dict[str, list[EntryPoint]] = {}
        self._loaded = False

    def register(self, name: str, value: T) -> T:
        """Put `value` under `name` and return it; ValueError where the name already means something else."""
        if not name:
            raise ValueError(f"a {self.kind} needs a name, got an empty one for {value!r}")
        if name in self._values and self._values[name] is not value:
            raise ValueError(
                f"the {self.kind} {name!r} is already {self._values[name]!r} and cannot become {value!r} too: "
                "register the second under another name"
            )
        self._values[name] = value
        return value

    def get(self, name: str) -> T:
        """The value under `name`; UnknownName, with the nearest name and the list, where there is none."""
        self._load()
        if name in self._plugins:
            for plugin in self._plugins[name]:
                self.register(name, plugin.load())
            # Only now: a plug-in that failed to load fails again, with its own error, the next time it is asked for.
            del self._plugins[name]
        if name not in self._values:
            raise UnknownName(f"no {self.kind} is called {name!r}; {suggest(name, self.names())}")
        return self._values[name]

    def name_of(self, value: T) -> str | None:
        """What `value` is registered as, of what has been loaded; None where it is not."""
        return next((name for name, known in self._values.items() if known is value), None)

    def all(self) -> dict[str, T]:
        """Every value by its name, plug-ins loaded."""
        return {name: self.get(name) for name in self.names()}

    def loadable(self) -> tuple[dict[str, T], dict[str, Exception]]:
        """`all`, without the plug-ins that cannot be loaded: a broken one is no reason not to find another. And, by
        name, what went wrong with each of those."""
        found, broken = dict[str, T](), dict[str, Exception]()
        for name in self.names():
            try:
                found[name] = self.get(name)
            except Exception as error:  # whatever a stranger's module raises
                broken[name] = error
        return found, broken

    def names(self) -> list[str]:
        """Every name that `get` knows, sorted."""
        self._load()
        return sorted({*self._values, *self._plugins})

    def _load(self) -> None:
        if self._loaded:
            return
        # Without a lock: imports may be repeated, and a lock held while importing can wait for Python's own for ever.
        for module in self._builtin:
            importlib.import_module(module)
        plugins: dict[str, list[EntryPoint]] = {}
        for plugin in entry_points(group=self.group):
            plugins.setdefault(plugin.name, []).append(plugin)
        self._plugins = plugins
        self._loaded = True
