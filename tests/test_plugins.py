"""What another distribution may bring by entry points alone: family, objective, source, tokenizer, recipe.

A package is written into a folder on Python's path, with its metadata beside it as pip would leave it, and used through
the command line in a process of its own.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import ENVIRONMENT, TINY

from weft import registry

CODE = '''
"""A stranger's parts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from weft.data import Bytes, DataSettings, Document
from weft.models import FAMILIES, Blueprint, Family
from weft.objectives import Loss, NextToken, Translate
from weft.objectives.tasks import Classify
from weft.recipes import Recipe
from weft.recipes.tuning.texts import Classes
from weft.training.settings import TrainSettings

llama, transformer = FAMILIES.get("llama"), FAMILIES.get("transformer")


class Focal(NextToken):
    """The same places, each costing half as much again."""

    def losses(self, module, batch):
        loss = super().losses(module, batch)["loss"]
        return {"loss": loss, "more": Loss(loss.sum, loss.count, 0.5)}

    def counts(self, batch):
        return dict.fromkeys(("loss", "more"), super().counts(batch)["loss"])


class Silent(NextToken):
    """Calls its -log p otherwise."""

    def losses(self, module, batch):
        return {"cost": super().losses(module, batch)["loss"]}

    def counts(self, batch):
        return {"cost": super().counts(batch)["loss"]}


class Gentle(Translate):
    """Translation under another name."""


def family(name, base, objective, **changes):
    return replace(base, name=name, objective=objective, summary="from another distribution", **changes)


woven = family("woven", llama, "focal")
mute = family("mute", llama, "silent")
turned = family("turned", transformer, "gentle")
unpacked = family("unpacked", llama, "next_token", packs=False)


@dataclass(frozen=True)
class Counting:
    """Documents that count."""

    words: tuple[str, ...] = ()

    def documents(self) -> Iterator[Document]:
        for number in range(12):
            yield Document(f"{number}", " ".join(map(str, range(number, number + 60))) + "".join(self.words))


class Codes:
    """Bytes, as a tokenizer of another name."""

    def train(self, texts, vocab):
        return Coded()

    def load(self, folder):
        return Coded()


class Coded(Bytes):
    def save(self, folder):
        (Path(folder) / "tokenizer.json").write_text('{"weft": "codes"}')


@dataclass(frozen=True)
class Sort(Classify):
    """Classification under another name."""


class Sorting(Classes):
    """The same of its rows."""

    learns = Sort

    def objective(self, examples, labels, how):
        return Sort(how.dropout, how.layers, how.pooling, how.language, classes=len(labels))


codes, sorting = Codes(), Sorting()
recipe = Recipe(
    name="counting_run",
    model=Blueprint.of("woven", "debug"),
    data=DataSettings(source="counting", tokenizer="codes", vocab=0),
    train=TrainSettings(steps=2, batch=2, precision="fp32"),
    prompts=("1 2 3",),
    sample_tokens=5,
    story="Learns to count.",
)
namesake = replace(recipe, name="python_stdlib")
'''
POINTS = """
[weft.families]
woven = strange_parts:woven
mute = strange_parts:mute
turned = strange_parts:turned
unpacked = strange_parts:unpacked
broken = no_such_module_anywhere:family

[weft.objectives]
focal = strange_parts:Focal
silent = strange_parts:Silent
gentle = strange_parts:Gentle

[weft.sources]
counting = strange_parts:Counting

[weft.tokenizers]
codes = strange_parts:codes

[weft.tasks]
sorting = strange_parts:sorting

[weft.recipes]
counting_run = strange_parts:recipe
run = strange_parts:recipe
folder = strange_parts:namesake
"""
COMMANDS = {
    "list": ["list"],
    "names": ["list", "--json"],
    "recipe": ["train", "counting_run", "--out", "counted", "--quiet"],
    "eval": ["eval", "counted", "--data", "some.txt", "--json"],
    "generate": ["generate", "counted", "--prompt", "7 8", "--tokens", "5", "--json"],
    "show": ["show", "counted", "--json"],
    "show recipe": ["show", "counting_run"],
    "resume": ["train", "counting_run", "--out", "counted", "--quiet", "--resume"],
    "tune": [
        *("tune", "counted", "--task", "sorting", "--data", "kinds.tsv", "--dev", "kinds.tsv", "--out", "sorted"),
        *("--epochs", "1", "--quiet", "--set", "train.precision=fp32", "--set", "train.kernel=matmul"),
    ],
    "predict": ["predict", "sorted", "--data", "kinds.tsv", "--out", "sorted.jsonl"],
    "family": ["train", "woven", "--out", "woven", *TINY, "--set", "data.source=counting"],
    "source": ["train", "gpt2", "--data", " spoken", "--set", "data.source=counting", "--out", "gpt2", *TINY],
    "pairs": ["train", "turned", "--out", "turned", *TINY],
    "translate": ["generate", "turned", "--prompt", "a cat", "--tokens", "3", "--json"],
    "mute": ["train", "mute", "--out", "mute", *TINY],
    "unpacked": ["train", "unpacked", "--out", "unpacked", *TINY, "--set", "data.rows=isolate"],
    "broken": ["train", "broken", "--out", "broken", *TINY],
    **{f"copy {name}": ["cp", name, "mine.py"] for name in ("counting_run", "run", "folder")},
    "copy": ["cp", "python_stdlib", "ours.py"],
    "near": ["train", "wovn", "--out", "wovn", *TINY],
}
PROGRAM = """
import contextlib, io, json, sys, traceback
from weft.cli import main
from weft.recipes import run  # before what follows, so that its module is there

sys.modules["weft.recipes.run"].draw = lambda *_, **__: None
found = {}
for name, words in json.loads(sys.argv[1]).items():
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as leaving:
            status = leaving.code
        except BaseException:
            status = traceback.format_exc()
    found[name] = [status or 0, out.getvalue(), err.getvalue()]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Used:
    """What the commands came to, by name: exit status, standard output, standard error."""

    folder: Path
    found: dict[str, tuple[int, str, str]]

    def good(self, name: str) -> str:
        status, out, err = self.found[name]
        assert status == 0, (status, err)
        return out

    def refused(self, name: str) -> str:
        status, _, err = self.found[name]
        assert status == 1, (status, err)
        assert not (self.folder / name).exists()
        return err


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    folder, source = tmp_path_factory.mktemp("plugins"), Path(registry.__file__).parents[1]
    site = folder / "site"
    (site / "strange_parts-1.0.dist-info").mkdir(parents=True)
    (site / "strange_parts.py").write_text(CODE)
    (site / "strange_parts-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: strange-parts\nVersion: 1.0\n"
    )
    (site / "strange_parts-1.0.dist-info" / "entry_points.txt").write_text(POINTS)
    (folder / "some.txt").write_text("1 2 3 4 5\n")
    (folder / "kinds.tsv").write_text("text\tlabel\n1 2\teven\n1 2 3\todd\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(COMMANDS)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": f"{site}{os.pathsep}{source}"},
    )
    assert done.returncode == 0, done.stderr
    return Used(folder, json.loads(done.stdout))


def test_names_from_another_distribution_are_listed_a_broken_one_too(used: Used):
    names = json.loads(used.good("names"))
    assert {"woven", "turned", "broken", "llama"} <= set(names["families"])
    assert {"focal", "next_token"} <= set(names["objectives"])
    assert {"counting", "text"} <= set(names["sources"])
    assert {"codes", "bpe"} <= set(names["tokenizers"]) and "counting_run" in names["recipes"]
    shown = used.good("list")
    assert "from another distribution" in shown and "Learns to count." in shown
    assert "cannot be loaded: No module named 'no_such_module_anywhere'" in shown


def test_a_recipe_of_strange_parts_runs_resumes_and_is_shown(used: Used):
    assert "weft generate counted" in used.good("recipe") and "weft generate counted" in used.good("resume")
    assert "Learns to count." in used.good("show recipe")
    settings = json.loads((used.folder / "counted" / "run.json").read_text())["settings"]
    assert settings["data"]["source"] == "counting" and settings["model"]["family"] == "woven"
    assert json.loads((used.folder / "counted" / "tokenizer.json").read_text()) == {"weft": "codes"}


@pytest.mark.parametrize("name", ["counting_run", "run", "folder"])
def test_a_recipe_without_a_file_of_weft_s_is_not_copied(name: str, used: Used):
    assert f"the recipe {name!r} has no file of its own (it is a plug-in's, or one of a table)" in used.refused(
        f"copy {name}"
    )
    assert not (used.folder / "mine.py").exists()
    used.good("copy")
    assert 'name="ours"' in (used.folder / "ours.py").read_text()


def test_what_strange_parts_made_is_loaded_like_any_other(used: Used):
    assert json.loads(used.good("show"))["model"]["family"] == "woven"
    assert json.loads(used.good("generate"))["prompt"] == "7 8"
    assert json.loads(used.good("eval"))["bytes"] == 10


def test_a_strange_task_is_listed_tuned_for_and_predicted(used: Used):
    assert "sorting" in json.loads(used.good("names"))["tasks"]
    used.good("tune")
    used.good("predict")
    assert json.loads((used.folder / "sorted" / "task.json").read_text())["objective"]["name"] == "sorting"
    lines = (used.folder / "sorted.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] in ("even", "odd") for line in lines] == [True, True]


def test_a_strange_objective_is_minimised_with_all_its_terms(used: Used):
    used.good("family")
    first, *_ = (json.loads(line) for line in (used.folder / "woven" / "log.jsonl").read_text().splitlines())
    assert first["terms"].keys() == {"loss", "more"}
    assert first["loss"] == pytest.approx(1.5 * first["terms"]["loss"], rel=1e-6)


def test_a_strange_source_hears_what_data_says(used: Used):
    used.good("source")
    data = json.loads((used.folder / "gpt2" / "run.json").read_text())["settings"]["data"]
    assert data["source"] == "counting" and data["paths"] == [" spoken"]


def test_an_encoder_decoder_reads_pairs_whatever_its_objective_is_called(used: Used):
    used.good("pairs")
    assert json.loads((used.folder / "turned" / "run.json").read_text())["settings"]["data"]["source"] == "made_pairs"
    assert json.loads(used.good("translate"))["tokens"] >= 1


def test_an_objective_that_cannot_be_measured_is_refused_before_training(used: Used):
    assert "Silent has the terms cost" in used.refused("mute")


def test_a_family_that_cannot_pack_says_so(used: Used):
    assert "family 'unpacked' cannot pack several documents into a row" in used.refused("unpacked")


def test_a_broken_plug_in_is_an_error_only_where_it_is_asked_for(used: Used):
    assert "no_such_module_anywhere" in used.refused("broken")


def test_a_misspelt_plug_in_is_guessed(used: Used):
    assert "did you mean 'woven'?" in used.refused("near")
