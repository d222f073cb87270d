"""The architecture as a test: what may import what, what nobody may call, and how long a thing may be. Nothing is run;
everything is read from the syntax trees of src/weft."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "src" / "weft"
FILES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)
FLOORS = {
    **dict.fromkeys(("allocator", "batch", "described", "files", "flops", "nn", "outputs", "pictures", "registry"), 1),
    "settings": 1.25,  # looks into what is not described
    "named": 1.5,  # registry and settings joined, for all above
    "models": 2,
    **dict.fromkeys(("data", "objectives", "adapt", "inspect"), 3),
    "generate": 4,
    **dict.fromkeys(("training", "evaluate", "vectors"), 5),
    **dict.fromkeys(("hub", "align"), 6),
    **dict.fromkeys(("serve", "recipes"), 7),
    "cli": 8,
}
EXEMPT = ("__init__", "__main__")  # the package's own door may look at every floor
ENGLISH = {"transformer"}  # families that are also a word: a sentence may use it
PLAIN = {"music", "series"}  # families that are called after what they read, as its schemes and its data are
CODE = {"clip", "unit"}  # and of code: gradients are clipped, sizes have units
# Not families: a position scheme and tables of noise that bear the name of the paper they come from, names in folders
# of others.
HOMONYMS = {
    ("nn/scheme.py", "t5"),
    ("hub/sentences.py", "Transformer"),
    ("data/own.py", "sentence_bert_config.json"),
    ("hub/sentences.py", "sentence_bert_config.json"),
    ("hub/source.py", "sentence_bert_config.json"),
    ("objectives/builtin.py", "bert_style"),  # as T5's authors call one of theirs
}
ADDRESSES = "data/public/shipped.py"  # of others, whatever they called their repositories and files
LINES, STATEMENT_LINES, ARGUMENTS = 300, 40, 12
MAY_HAVE_MORE = {
    ("nn/attention.py", "Attention.__init__"),  # it is where the field's variety lives
    ("cli/app.py", "train"),  # a command's options are its words
    ("cli/tune.py", "tune"),
    ("cli/tune.py", "predict"),
    ("cli/make.py", "generate"),
    ("cli/asks.py", "evaluate"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package(path: Path) -> str:
    """The floor's member a file belongs to: "nn" for nn/mask.py, "batch" for batch.py."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every module a file imports, wherever in it, with the line: "weft.nn.mask", "torch"."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ("weft", *path.relative_to(ROOT).parts)[: -node.level]
                base = ".".join((*here, base)).strip(".")
            yield from ((node.lineno, f"{base}.{alias.name}" if base == "weft" else base) for alias in node.names)


def breaches(path: Path, module: ast.Module) -> Iterator[str]:
    """Imports the floors forbid, in words."""
    own = package(path)
    if own in EXEMPT:
        return
    for line, target in imports(path, module):
        parts = target.split(".")
        if parts[0] != "weft":
            if own == "nn" and parts[0] != "torch" and parts[0] not in sys.stdlib_module_names:
                yield f"{name(path)}:{line} nn imports torch only, not {target}"
            continue
        if len(parts) == 1:
            yield f"{name(path)}:{line} imports the package's own door, weft"
            continue
        other = parts[1]
        if other not in FLOORS:
            yield f"{name(path)}:{line} imports weft.{other}, which has no floor"
        elif other != own and FLOORS[other] >= FLOORS.get(own, 0):
            yield f"{name(path)}:{line} floor {FLOORS.get(own)} ({own}) imports floor {FLOORS[other]} ({target})"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_imports_only_from_lower_floors(path: Path) -> None:
    assert package(path) in (*FLOORS, *EXEMPT), f"{name(path)} stands on no floor: give {package(path)} one"
    assert not list(breaches(path, tree(path)))


@pytest.mark.parametrize(
    ("where", "code", "wrong"),
    [
        ("nn/x.py", "import torch, math\nfrom weft.nn.mask import Full", False),
        ("nn/x.py", "import numpy", True),
        ("nn/x.py", "from weft.registry import Registry", True),
        ("models/x.py", "from weft.nn import Linear\nfrom weft.registry import Registry", False),
        ("models/x.py", "def f():\n    from weft.data import Blocks", True),
        ("data/x.py", "import weft.objectives", True),
        ("data/x.py", "from ..objectives import y", True),
        ("data/x.py", "from . import order", False),
        ("training/x.py", "from weft.evaluate import y", True),
        ("cli/x.py", "from weft.recipes import y\nfrom weft.hub import z", False),
        ("cli/x.py", "import weft", True),
    ],
)
def test_the_law_itself_sees_a_breach(where: str, code: str, wrong: bool) -> None:
    assert bool(list(breaches(ROOT / where, ast.parse(code)))) is wrong


def documentation(module: ast.Module) -> set[ast.AST]:
    """Docstrings: of modules, classes and functions."""
    found = set[ast.AST]()
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.add(first.value)
    return found


def words(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every identifier and every text in code, docstrings left out."""
    docs = documentation(module)
    for node in ast.walk(module):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield line, node.value
        for attribute in ("id", "attr", "arg", "name", "module"):
            value = getattr(node, attribute, None)
            if isinstance(value, str):
                yield line, value


def named_families() -> set[str]:
    """The names families are registered under, and their classes', read from models/ without importing it."""
    names = set[str]()
    for path in FILES:
        if package(path) != "models":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "FAMILIES.register":
                assert isinstance(node.args[0], ast.Constant), f"{name(path)}: a family's name is written out"
                names.add(node.args[0].value)
    return names


def test_nothing_outside_models_names_a_family() -> None:
    families = named_families() - PLAIN
    assert families, "no family is registered in models/"

    def names_one(text: str) -> bool:
        known = families - CODE - (ENGLISH if " " in text else set())
        either = "|".join(map(re.escape, known))
        return re.search(rf"(?<![A-Za-z0-9])({either})(?![A-Za-z0-9])", text, re.IGNORECASE) is not None

    found = [
        f"{name(path)}:{line} {text[:60]!r}"
        for path in FILES
        if package(path) not in ("models", "recipes")  # a recipe is a run of one model, which it must name
        and name(path) != ADDRESSES
        for line, text in words(tree(path))
        if names_one(text) and (name(path), text) not in HOMONYMS
    ]
    assert not found, "\n".join(found)


FORBIDDEN_MODULES = {
    "pickle", "_pickle", "cPickle", "pickletools", "copyreg", "dill", "cloudpickle", "joblib", "shelve", "marshal",
    "runpy", "code", "codeop",
}  # fmt: skip
# A program of its own, which `weft convert --unsafe-pickle` runs and nothing imports: it reads the opcodes of pickles.
READER = "hub/pickled/"
READS_OPCODES = {f"{READER}machine.py": "pickletools"}
# A stranger's module may declare its own tables; it need not know our classes.
MAY_LOOK_FOR = {"training/optimisers.py"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "hasattr", "os.system", "os.popen", "torch.load"}


def dangers(module: ast.Module) -> Iterator[str]:
    """Ways to run what one has read, and `hasattr`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"line {node.lineno}: import {r}" for r in roots if r.split(".")[0] in FORBIDDEN_MODULES)
            if isinstance(node, ast.ImportFrom):
                pairs = {f"{node.module}.{alias.name}" for alias in node.names}
                yield from (f"line {node.lineno}: import {pair}" for pair in pairs & FORBIDDEN_CALLS)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: {called}("
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                if (keyword.arg, off) in (("shell", False), ("allow_pickle", False), ("trust_remote_code", False)):
                    yield f"line {node.lineno}: {keyword.arg}="
                if keyword.arg == "weights_only" and off:
                    yield f"line {node.lineno}: weights_only=False"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_can_run_what_it_reads(path: Path) -> None:
    allowed = READS_OPCODES.get(name(path))
    assert [danger for danger in dangers(tree(path)) if danger.partition(": ")[2] != f"import {allowed}"] == []


def test_nothing_imports_the_reader_of_pickles_and_only_convert_runs_it() -> None:
    """Which itself imports Python's own library alone, and no part of it that could run or fetch anything."""
    own = [path for path in FILES if name(path).startswith(READER)]
    assert {name(path) for path in own} >= READS_OPCODES.keys()
    beside = {path.stem for path in own}
    for path in own:
        used = {target.split(".")[0] for _, target in imports(path, tree(path))}
        assert used <= beside | set(sys.stdlib_module_names), name(path)
        assert not used & {"os", "subprocess", "importlib", "socket", "urllib", "http", "ctypes"}, name(path)
    users = {
        name(path): {target for _, target in imports(path, tree(path)) if target.startswith("weft.hub.")}
        for path in FILES
        if path not in own
    }
    assert not [file for file, targets in users.items() if any(t.startswith("weft.hub.pickled") for t in targets)]
    assert [file for file, targets in users.items() if "weft.hub.foreign" in targets] == ["hub/convert.py"]
    assert [file for file, targets in users.items() if "weft.hub.convert" in targets] == ["cli/convert.py"]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import pickletools",
        "import torch\ntorch.load(x)",
        "from torch import load",
        "eval(x)",
        "exec(x)",
        "import os\nos.system(x)",
        "subprocess.run(x, shell=True)",
        "numpy.load(x, allow_pickle=True)",
        "hasattr(x, 'y')",
    ],
)
def test_the_law_itself_sees_a_danger(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def looks_for(module: ast.Module) -> list[int]:
    """Lines with getattr(x, "name", default), which is `hasattr` by another name."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr"]
    return [call.lineno for call in calls if len(call.args) == 3]


def thawed(module: ast.Module) -> list[str]:
    """Dataclasses that are not frozen."""
    found = list[str]()
    for node in ast.walk(module):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            text = ast.unparse(decorator)
            if text.startswith(("dataclass", "dataclasses.dataclass")) and "frozen=True" not in text:
                found.append(node.name)  # type: ignore[attr-defined]
    return found


def tunnels(function: Function) -> bool:
    """Whether it hands on keyword arguments that it does not name: def f(**more): g(**more)."""
    more = function.args.kwarg
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    handed = [ast.unparse(keyword.value) for call in calls for keyword in call.keywords if keyword.arg is None]
    return more is not None and more.arg in handed


@pytest.mark.parametrize("path", FILES, ids=name)
def test_values_are_frozen_and_nothing_is_guessed_or_tunnelled(path: Path) -> None:
    module = tree(path)
    assert name(path) in MAY_LOOK_FOR or not looks_for(module)
    assert not thawed(module)
    assert not [function for function, node in functions(module) if tunnels(node)]


def test_the_law_itself_sees_a_thaw_a_guess_and_a_tunnel() -> None:
    assert thawed(ast.parse("@dataclass\nclass A: pass")) == ["A"]
    assert not thawed(ast.parse("@dataclass(frozen=True, eq=False)\nclass A: pass"))
    assert looks_for(ast.parse("getattr(x, 'table', False)")) and not looks_for(ast.parse("getattr(x, name)"))
    for code, through in (("def f(**more): g(1, **more)", True), ("def f(**more): return g(more)", False)):
        ((_, function),) = functions(ast.parse(code))
        assert tunnels(function) is through


def functions(module: ast.Module) -> Iterator[tuple[str, Function]]:
    """Every function with its dotted name; what is nested is named after what it is nested in."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            inside = prefix
            if isinstance(child, ast.ClassDef | Function):
                inside = f"{prefix}{child.name}."
                if isinstance(child, Function):
                    yield f"{prefix}{child.name}", child
            yield from walk(child, inside)

    yield from walk(module, "")


def statement_lines(function: Function) -> int:
    """Lines on which something stands, without signature, docstring, comments and blank lines."""
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        body = body[1:]
    return len({line for part in body for node in ast.walk(part) for line in _lines(node)})


def _lines(node: ast.AST) -> tuple[int, ...]:
    start = getattr(node, "lineno", None)
    if start is None:
        return ()
    end = getattr(node, "end_lineno", start)
    return tuple(range(start, end + 1)) if isinstance(node, ast.Constant) else (start, end)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_functions_and_signatures_stay_short(path: Path) -> None:
    text, found = path.read_text(encoding="utf-8"), list[str]()
    if text.count("\n") > LINES:
        found.append(f"{name(path)} has {text.count(chr(10))} lines, more than {LINES}")
    for function, node in functions(tree(path)):
        lines, a = statement_lines(node), node.args
        if lines > STATEMENT_LINES:
            found.append(f"{name(path)}:{node.lineno} {function} has {lines} lines, more than {STATEMENT_LINES}")
        arguments = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs) if x.arg not in ("self", "cls")]
        if len(arguments) > ARGUMENTS and (name(path), function) not in MAY_HAVE_MORE:
            found.append(
                f"{name(path)}:{node.lineno} {function} takes {len(arguments)} arguments, more than {ARGUMENTS}"
            )
    assert not found, "\n".join(found)
