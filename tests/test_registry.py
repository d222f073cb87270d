"""Named things: registered, found, misspelt, twice; plug-ins of other distributions."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from weft import registry
from weft.registry import Registry, UnknownName


def test_registered_values_are_found_by_name():
    things: Registry[int] = Registry("thing", "weft.test.things")
    assert things.register("two", 2) == 2
    things.register("one", 1)
    assert things.names() == ["one", "two"]
    assert things.get("two") == 2


def test_a_second_different_value_is_refused_the_same_one_is_not():
    things: Registry[list[int]] = Registry("thing", "weft.test.things")
    value = things.register("one", [1])
    things.register("one", value)
    with pytest.raises(ValueError, match=r"thing 'one' is already \[1\] and cannot become \[2\]"):
        things.register("one", [2])


def test_an_empty_name_is_refused():
    things: Registry[int] = Registry("thing", "weft.test.things")
    with pytest.raises(ValueError, match="needs a name"):
        things.register("", 1)


def test_an_unknown_name_says_what_there_is():
    things: Registry[int] = Registry("thing", "weft.test.things")
    with pytest.raises(UnknownName, match="no thing is called 'x'; there are: none"):
        things.get("x")
    things.register("transformer", 1)
    things.register("gpt", 2)
    with pytest.raises(UnknownName, match="'transfomer'; did you mean 'transformer'\\? there are: gpt, transformer"):
        things.get("transfomer")


def test_builtin_modules_are_imported_at_first_use(tmp_path: Path):
    (tmp_path / "late_things.py").write_text("import shared_things\nshared_things.THINGS.register('late', 7)\n")
    (tmp_path / "shared_things.py").write_text(
        "from weft.registry import Registry\nTHINGS = Registry('thing', 'weft.test.things', ('late_things',))\n"
    )
    program = (
        "import sys; from shared_things import THINGS; assert 'late_things' not in sys.modules\n"
        "assert THINGS.get('late') == 7; assert THINGS.names() == ['late']; assert 'torch' not in sys.modules"
    )
    source = Path(registry.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"PYTHONPATH": f"{source}:{tmp_path}"}, cwd=tmp_path
    )


def test_plugins_are_listed_by_name_and_loaded_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    points = [
        EntryPoint("square_root", "math:sqrt", "weft.test.things"),
        EntryPoint("broken", "no_such_module_anywhere:x", "weft.test.things"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "weft.test.things" else [])
    things: Registry[object] = Registry("thing", "weft.test.things")
    assert things.names() == ["broken", "square_root"]
    import math

    assert things.get("square_root") is math.sqrt
    assert things.get("square_root") is math.sqrt
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
            things.get("broken")
    found, broken = things.loadable()
    assert found == {"square_root": math.sqrt}
    assert "no_such_module_anywhere" in str(broken["broken"])


def test_an_unknown_model_type_names_the_plug_ins_that_could_not_be_asked(monkeypatch: pytest.MonkeyPatch):
    from weft.hub.fields import family_of
    from weft.models import FAMILIES

    found, _ = FAMILIES.loadable()
    monkeypatch.setattr(FAMILIES, "loadable", lambda: (found, {"mended": ImportError("no wheel for you")}))
    assert family_of("gpt2")[1].model_type == "gpt2"
    with pytest.raises(
        ValueError, match="'mended', which may read it, could not be loaded .no wheel for you.: mend or remove it"
    ):
        family_of("strange")


def test_a_plugin_cannot_take_a_name_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("one", "math:pi", group)])
    things: Registry[float] = Registry("thing", "weft.test.things")
    things.register("one", 1.0)
    with pytest.raises(ValueError, match="already 1.0 and cannot become 3.14"):
        things.get("one")
