"""The command line: every verb, every kind of data and setting."""

import gzip
import json
import math
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from commands import ENVIRONMENT, TINY, good, weft

from weft.data import DataSettings, prepare
from weft.files import read_tensors
from weft.hub import load
from weft.models import FAMILIES, reading
from weft.nn import SCHEMES
from weft.recipes import RECIPES
from weft.training.log import read
from weft.training.settings import LENGTHS

pytestmark = pytest.mark.usefixtures("no_picture")
LINES = [f"{who} {what} number {n}" for n in range(6) for who in ("a cat", "a dog") for what in ("sees", "hears")]


def python(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, *words], capture_output=True, text=True, env=ENVIRONMENT, **options
    )


# ---------------------------------------------------------------- the door


def test_python_m_weft_is_the_command():
    done = python("-m", "weft", "--version")
    assert (done.returncode, done.stdout) == (0, f"weft {version('weft')}\n")
    assert import_module("weft").__version__ == version("weft")


def test_help_version_and_the_package_itself_import_no_torch():
    program = """
import sys, weft
from weft.cli import main
verbs = ("train", "eval", "score", "fill", "generate", "translate", "tune", "predict", "compare",
         "attention", "embed", "convert", "list", "show", "verify", "tokenizer", "tokenizer train", "data",
         "data list", "data get", "ngram", "vectors", "vectors train", "vectors near", "vectors analogy",
         "vectors plot")
words = [["--help"], ["--version"], *([*verb.split(), "--help"] for verb in verbs)]
for arguments in words:
    try:
        main(arguments)
    except SystemExit as leaving:
        assert not leaving.code, arguments
heavy = {"torch", "numpy", "safetensors", "tokenizers", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    options = ("--resume", "--overwrite", "--json", "--prompt", "--unsafe-pickle")
    for verb in ("train", "eval", "generate", "convert", "list", "show", *options):
        assert verb in done.stdout


@pytest.mark.parametrize(
    "words, fragment",
    [
        (["trian"], "Did you mean 'train'"),
        (["train"], "Missing argument 'RECIPE|FAMILY|DIR|FILE.py'"),
        (["train", "llama", "--outt", "x"], "--out"),
        (["eval", "x"], "Missing option '--data'"),
        (["generate", "x", "--prompt", "a", "--tokens", "many"], "--tokens"),
    ],
)
def test_words_that_make_no_command_are_status_2(words: list[str], fragment: str):
    done = weft(*words)
    assert done.status == 2 and not done.out
    assert fragment in " ".join(done.err.split())


# ---------------------------------------------------------------- the verbs


def test_training_lays_out_a_folder_and_prints_where_everything_is(trained: Path):
    names = {path.name for path in trained.iterdir()}
    files = {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "run.json",
        "log.jsonl",
        "report.json",
        "report.html",
        "loss.png",
        "tokens",
    }
    assert names == {*files, "checkpoints"}
    assert [line["step"] for line in read(trained / "log.jsonl")] == [1, 2, 2]
    facts = json.loads((trained / "report.json").read_text())
    assert facts["figures"]["bits_per_byte"] > 0 and facts["tokens"] == 2 * 2 * 64


def test_the_card_shows_figures_a_sample_and_the_next_command(tmp_path: Path):
    out = tmp_path / "a folder"
    done = good(
        "train", "shakespeare_char", "--debug", "--out", out, "--set", "train.steps=1", "--set", "train.batch=2"
    )
    for text in ("shakespeare_char", "held-out bits per byte", f"weft generate '{out}' --prompt"):
        assert text in done.out
    assert "step 1/1" in done.err and "held out" in done.err  # progress goes elsewhere than the result


@pytest.mark.parametrize("name", reading("text"))
def test_a_context_too_short_for_the_samples_fails_no_run(name: str, tmp_path: Path):
    pairs = FAMILIES.get(name).objective == "translate"
    bytes = ("--set", "data.tokenizer=bytes", "--set", f"model.context={56 if pairs else 2}")
    good("train", name, "--out", tmp_path / "run", *TINY, *bytes)


def test_eval_gives_numbers_that_agree_with_their_definitions(trained: Path, book: Path):
    found = good("eval", trained, "--data", book, "--json").data
    assert (found["model"], found["data"]) == (str(trained), [str(book)])
    assert found["bytes"] == len(book.read_bytes())
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    nats = found["nats_per_token"] * found["tokens"]
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / found["bytes"])
    shown = good("eval", trained, "--data", book).out
    assert f"{found['bits_per_byte']:.4f}" in shown and "perplexity" in shown


def test_eval_refuses_a_file_that_is_named_twice(trained: Path, book: Path):
    again = f"{book.parent}/./{book.name}"
    for other, first in ((str(book), ""), (again, f", first as {book}")):
        for words in ((), ("--metric", "chrf")):
            done = weft("eval", trained, "--data", book, "--data", other, *words)
            assert done.status == 1 and not done.out
            assert f"--data names {other} twice{first}, and it would count once: name it once" in done.err


def test_generate_streams_the_prompt_and_the_text_that_json_holds(trained: Path):
    words = ("generate", trained, "--prompt", "the ", "--tokens", 12, "--seed", 5)
    found = good(*words, "--json").data
    assert found.keys() == {"prompt", "text", "tokens", "reason", "logprob"}
    assert found["logprob"] < 0 and 1 <= found["tokens"] <= 12
    assert good(*words).out == f"the {found['text']}\n"


def test_the_same_seed_gives_the_same_text_another_another(trained: Path):
    texts = [good("generate", trained, "--prompt", "a", "--tokens", 20, "--seed", seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_generate_takes_several_prompts_also_with_beams(trained: Path):
    words = ("generate", trained, "--prompt", "a", "--prompt", "", "--tokens", 4)
    for more in ((), ("--beams", 3)):
        found = good(*words, *more, "--json").data
        assert [row["prompt"] for row in found] == ["a", ""]
        assert good(*words, *more).out == f"a{found[0]['text']}\n{found[1]['text']}\n"


def test_a_translator_writes_only_the_translation(translator: Path):
    words = ("generate", translator, "--prompt", "the moon sees", "--tokens", 6)
    assert good(*words).out == good(*words, "--json").data["text"] + "\n"


def test_text_of_any_script_survives_a_terminal_that_lacks_it(tmp_path: Path):
    text = tmp_path / "text.txt"
    text.write_text("ü→日本語😀 " * 200)
    characters = ("--set", "data.tokenizer=characters", "--set", "data.vocab=0")
    good("train", "llama", "--data", text, "--out", tmp_path / "run", *TINY, *characters)
    words = ("generate", tmp_path / "run", "--prompt", "日本", "--tokens", 8)
    written = good(*words).out
    assert written.startswith("日本") and not {*written} - {*"ü→日本語😀 \n"}
    poor = weft(*words, encoding="ascii")
    assert poor.status == 0 and poor.out == written.encode("ascii", "backslashreplace").decode()
    assert f"日本{weft(*words, '--json', encoding='ascii').data['text']}\n" == written


def test_a_reader_that_leaves_early_is_no_accident(trained: Path):
    words = [sys.executable, "-m", "weft", "generate", str(trained), "--prompt", "a", "--tokens", "5"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_list_names_everything_there_is():
    found = good("list", "--json").data
    assert found["recipes"] == RECIPES.names() and found["families"] == FAMILIES.names()
    assert found["positions"] == list(SCHEMES)
    assert {"text", "python_stdlib", "made"} <= set(found["sources"])
    assert {"next_token", "translate"} <= set(found["objectives"])
    shown = good("list").out
    assert all(name in shown for names in found.values() for name in names)


@pytest.mark.parametrize("name", [*RECIPES.names(), *reading("text")])
def test_show_tells_of_every_name(name: str):
    found = good("show", name, "--json").data
    assert found["name"] == name and found["model"]["parameters"] > 0
    assert sum(found["train"][length] for length in LENGTHS) > 0 and found["data"]["held_out"] == 0.1
    assert ("sizes" in found) == (name in FAMILIES.names())
    assert "train.steps" in good("show", name).out


def test_show_tells_of_a_folder_and_a_name_wins_over_a_folder(copy: Path, monkeypatch: pytest.MonkeyPatch):
    parameters = sum(tensor.numel() for tensor in read_tensors(copy / "model.safetensors").values())
    assert good("show", copy, "--json").data["model"]["parameters"] == parameters
    monkeypatch.chdir(copy.parent)
    copy.rename("gpt2")
    assert good("show", "gpt2", "--json").data["model"]["family"] == "gpt2"
    assert good("show", "./gpt2", "--json").data["model"]["family"] == "llama"


# ---------------------------------------------------------------- recipes and data


@pytest.mark.parametrize("name", [*RECIPES.names(), *reading("text")])
def test_debug_alone_trains_any_name_and_it_writes(name: str, tmp_path: Path):
    done = good("train", name, "--out", tmp_path / "run", *TINY)
    if (tmp_path / "run" / "processor.json").is_file():  # what it makes, if anything, is no text
        assert "makes no text" in weft("generate", tmp_path / "run", "--prompt", "").err
        assert load(tmp_path / "run").blueprint.to_data()["config"].get("width", 48) < 64  # the debug size
        return
    if "--prompt" in done.out:
        assert good("generate", tmp_path / "run", "--prompt", "", "--tokens", 3).out
        assert "--prompt" in weft("generate", tmp_path / "run").err
    else:  # an encoder says nothing of writing, and does not
        assert "reads whole rows" in weft("generate", tmp_path / "run", "--prompt", "").err
    assert load(tmp_path / "run").config.width == 48


def test_shakespeare_reads_a_folder_of_train_and_dev(tmp_path: Path):
    texts = {"train.txt.gz": "ROMEO: to be, or not\n" * 40, "dev.txt.gz": "to be, not ROMEO: or\n" * 7}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    done = good("train", "shakespeare_char", "--data", tmp_path, "--out", tmp_path / "run", *TINY)
    tokenizer = load(tmp_path / "run").need_tokenizer()
    assert tokenizer.vocab == len(set(texts["train.txt.gz"])) + 1
    (evaluation,) = [line["evaluation"] for line in read(tmp_path / "run" / "log.jsonl") if "evaluation" in line]
    assert evaluation["bytes"] == len(texts["dev.txt.gz"])
    assert "ROMEO:" in done.out


def test_nothing_held_out_is_trained_on(tmp_path: Path):
    texts = [f"<{n} {'text ' * n}>" for n in range(30)]
    for n, text in enumerate([*texts, *texts[:5]]):  # the last ones are copies
        (tmp_path / f"{n:02}.txt").write_text(text)
    settings = DataSettings(paths=(str(tmp_path),), tokenizer="bytes", vocab=0, held_out=0.3)
    found = prepare(settings, 16, pairs=False)
    train, valid = (found.tokenizer.decode(side.tokens.tolist()) for side in (found.train, found.held_out))  # type: ignore[union-attr]
    assert valid and all((text in train) != (text in valid) for text in texts)
    assert found.held_out_text.decode() == valid
    assert found.digest == prepare(settings, 16, pairs=False).digest


def test_no_source_of_a_held_out_pair_is_trained_on(tmp_path: Path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{line}\t{line[::-1]}{n}\n" for n in range(2) for line in LINES))
    found = prepare(
        DataSettings(source="pairs", paths=(str(path),), tokenizer="bytes", vocab=0, held_out=0.3), 64, pairs=True
    )
    train, valid = ({source for source, _ in side.pairs} for side in (found.train, found.held_out))  # type: ignore[union-attr]
    assert valid and train and not train & valid and train | valid == set(LINES)


def test_pairs_come_from_two_files_or_one_of_two_columns(tmp_path: Path, one_kernel: None):
    (tmp_path / "a.txt").write_text("\n".join(LINES) + "\n")
    (tmp_path / "b.txt").write_text("\n".join(line[::-1] for line in LINES) + "\n")
    (tmp_path / "ab.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in LINES))
    files, columns = ("--data", tmp_path / "a.txt", "--data", tmp_path / "b.txt"), ("--data", tmp_path / "ab.tsv")
    found = []
    for n, data in enumerate((files, columns)):
        out = tmp_path / str(n)
        good("train", "transformer", *data, "--out", out, *TINY)
        evaluated = good("eval", out, *data, "--json").data
        assert evaluated["bytes"] == sum(map(len, LINES))
        found.append(((out / "model.safetensors").read_bytes(), evaluated["nats_per_token"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("rows", ["stream", "isolate", "pack"])
def test_eval_gives_the_figure_of_the_run_that_trained_it(rows: str, tmp_path: Path):
    for folder in ("a", "b", "c"):  # three held-out documents, which share a row
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "train.txt").write_text(f"{folder} weaver mends the thread\n" * 30)
        (tmp_path / "data" / folder / "dev.txt").write_text(f"{folder} mends the weaver")
    settings = ("--set", f"data.rows={rows}", "--set", "data.tokenizer=bytes", "--set", "train.rate=0.05")
    out, held = (
        tmp_path / "run",
        [word for folder in "abc" for word in ("--data", tmp_path / "data" / folder / "dev.txt")],
    )
    good("train", "llama", "--data", tmp_path / "data", "--out", out, *TINY, *settings)
    reported = json.loads((out / "report.json").read_text())["figures"]["nats_per_token"]
    done = good("eval", out, *held, "--json")
    assert done.data["nats_per_token"] == pytest.approx(reported, rel=1e-5)
    assert done.data["rows"] == rows and ("kept apart" in done.err) == (rows != "stream")
    how = "isolate" if rows == "stream" else "stream"
    other = good("eval", out, *held, "--json", "--rows", how).data
    assert abs(other["nats_per_token"] - reported) > 1e-4 and other["rows"] == how
    (out / "run.json").write_text('{"experiment": 7}')  # another program's: what it says is not ours to read
    assert good("eval", out, *held, "--json").data["rows"] == "stream"
    (out / "run.json").unlink()
    assert good("eval", out, *held, "--json").data["rows"] == "stream"


def test_eval_says_which_pairs_it_leaves_out(translator: Path, tmp_path: Path):
    path = tmp_path / "pairs.tsv"
    path.write_text(f"a\tb\n{'xyz' * 100}\tb\n")
    done = good("eval", translator, "--data", path, "--json")
    assert "1 pairs are longer than the context" in done.err and done.data["bytes"] == 1
    assert done.data["rows"] is None  # each pair has its own


@pytest.mark.parametrize(
    "name, data",
    [
        ("crlf.txt", b"one\r\ntwo\r\n" * 30),
        ("mark.txt", b"\xef\xbb\xbfwith a byte order mark\n" * 9),
        ("nul.txt", b"a\0b\0\n" * 30),
        ("huge.txt", b"word " * 20000),
        ("short.txt", b"hello"),
        ("blank.txt", b"  \n\n \n"),
        ("z\u00fcge \u65e5\u672c.txt", "\u00fcber\n".encode() * 30),
    ],
)
def test_odd_but_honest_files_are_read_as_they_are(name: str, data: bytes, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(data)
    good("train", "llama", "--data", path, "--out", tmp_path / f"out {name}", *TINY)
    found = good("eval", tmp_path / f"out {name}", "--data", path, "--json").data
    assert found["bytes"] == len(data.removeprefix(b"\xef\xbb\xbf"))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Forty small texts."""
    (tmp_path / "notes").mkdir()
    for n in range(40):
        (tmp_path / "notes" / f"{n:02}.txt").write_text(f"note {n} of a Small book, with a word like {n}{n} in it\n")
    return tmp_path / "notes"


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_a_run_with_a_lossy_tokenizer_has_no_figure_in_bytes(kind: str, notes: Path, tmp_path: Path):
    words = ("--data", notes, "--out", tmp_path / "run", *TINY, "--set", f"data.tokenizer={kind}")
    done = good("train", "python_stdlib", *words, "--set", "data.column=text")  # a recipe with baselines
    assert "bits per byte  " not in done.out and "held-out nats per token" in done.out and "xz" not in done.out
    assert "no bits per byte: the tokenizer is lossy" in done.out
    told = json.loads((tmp_path / "run" / "report.json").read_text())
    assert told["figures"].keys() == {"nats_per_token", "perplexity", "tokens"} and told["baselines"] == {}
    assert any("the tokenizer is lossy" in text for text in told["notices"])
    assert "held-out bits per byte" not in (tmp_path / "run" / "report.html").read_text()
    found = good("eval", tmp_path / "run", "--data", notes, "--json")
    assert not {"bits_per_byte", "bytes"} & found.data.keys() and "the tokenizer is lossy" in found.err


def test_a_trained_tokenizer_is_named_by_its_folder(notes: Path, tmp_path: Path):
    for vocab in (270, 290):
        good("tokenizer", "train", "--data", notes, "--vocab", vocab, "--out", tmp_path / f"own{vocab}")
    digests = []
    for name in ("own270", "own270/tokenizer.json", "own290"):
        out = tmp_path / f"run of {name.replace('/', ' ')}"
        own = ("--set", f"data.tokenizer={tmp_path / name}")
        good("train", "llama", "--data", notes, "--out", out, *TINY, *own)
        assert (out / "tokenizer.json").read_bytes() == (tmp_path / name[:6] / "tokenizer.json").read_bytes()
        digests.append(json.loads((out / "run.json").read_text())["data_digest"])
        good("train", "llama", "--data", notes, "--out", out, *TINY, *own, "--resume")
    assert digests[0] == digests[1] != digests[2]


def test_tokens_stored_with_another_content_of_the_same_folder_are_refused(notes: Path, tmp_path: Path):
    own = tmp_path / "own"
    words = ("--data", notes, *TINY, "--set", f"data.tokenizer={own}", "--set", f"data.store={tmp_path / 'store'}")
    good("tokenizer", "train", "--data", notes, "--vocab", 270, "--out", own)
    good("train", "llama", *words, "--out", tmp_path / "one")
    good("train", "llama", *words, "--out", tmp_path / "two")
    good("tokenizer", "train", "--data", notes, "--vocab", 290, "--out", own, "--overwrite")
    done = weft("train", "llama", *words, "--out", tmp_path / "three")
    assert done.status == 1 and "tokenizer" in done.err and not (tmp_path / "three").exists()


# ---------------------------------------------------------------- a dry run


def parameters(words: str) -> str:
    """What a dry run, or a run, said of the model's size."""
    found = re.search(r"parameters\s+(\S+)|(\S+) parameters", words)
    assert found, words
    return found[1] or found[2]


@pytest.mark.parametrize(
    "changes",
    [(), ("data.vocab=300",), ("data.tokenizer=bytes",), ("data.tokenizer=characters", "data.vocab=0")],
    ids=str,
)
@pytest.mark.parametrize("length", ["steps=2", "epochs=2"])
def test_a_dry_run_has_the_figures_of_the_run(changes: tuple[str, ...], length: str, notes: Path, tmp_path: Path):
    words = ["train", "llama", "--data", notes, "--out", tmp_path / "run", *TINY, "--set", f"train.{length}"]
    words += [word for change in changes for word in ("--set", change)]
    planned = good(*words, "--dry-run")
    assert not (tmp_path / "run").exists()
    done = good(*(word for word in words if word != "--quiet"))
    assert parameters(planned.out) == parameters(done.err)
    steps = json.loads((tmp_path / "run" / "report.json").read_text())["of"]
    assert re.search(rf"steps\s+{steps}\b", planned.out)


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_can_be_planned(name: str, tmp_path: Path):
    planned = good("train", name, "--dry-run", "--out", tmp_path / "run", *TINY)
    assert re.search(r"a step; .* a token", planned.out) and not (tmp_path / "run").exists()


def test_a_dry_run_of_what_is_no_text_counts_a_pass_of_its_own(tmp_path: Path):
    changes = ["--debug", "--set", "train.steps=2", "--set", "train.kernel=matmul", "--set", "train.precision=fp32"]
    planned = good("train", "fashion_vit", "--dry-run", *changes)
    good("train", "fashion_vit", *changes, "--quiet", "--out", tmp_path / "run")
    line = [line for line in read(tmp_path / "run" / "log.jsonl") if "loss" in line][-1]
    counted = 1e9 * line["gflops"] / line["tokens_per_second"]
    found = re.search(r"a step; (\S+) FLOP a token", planned.out)
    assert found and float(found[1].replace(",", "")) == pytest.approx(counted, rel=0.02)


def test_a_dry_run_of_a_saved_model_has_its_size(trained: Path, notes: Path):
    size = good("show", trained, "--json").data["model"]["parameters"]
    planned = good("train", trained, "--data", notes, "--dry-run", "--set", "train.precision=fp32")
    assert parameters(planned.out) == f"{size / 1000:.1f}k"


def test_of_long_texts_a_dry_run_reads_the_beginning_and_says_what_it_does_not_know(
    notes: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("weft.recipes.preview.MOST", 500)
    epochs = ("train", "llama", "--debug", "--data", notes, "--dry-run", "--set", "train.epochs=1")
    done = good(*epochs, "--set", "data.vocab=260", "--set", "train.precision=fp32")
    assert re.search(r"steps\s+-", done.out) and "only the first 500 characters of the data were read" in done.err
    assert "260 ids, as many as data.vocab allows" in done.err
    done = good(*epochs, "--set", "data.tokenizer=word", "--set", "data.vocab=0", "--set", "train.precision=fp32")
    assert "the run may find more (as many as all of the data need)" in done.err
    assert weft(*epochs, "--set", "data.held_out=7").status == 1


# ---------------------------------------------------------------- settings


def test_settings_of_every_kind_are_heard(tmp_path: Path, book: Path):
    changes = {
        "train.steps": ("1e0", 1),
        "train.rate": ("2e-3", 0.002),
        "train.schedule": ("linear", "linear"),
        "train.warmup": ("none", None),
        "train.precision": ("fp32", "fp32"),
        "data.rows": ("pack", "pack"),
        "data.tokenizer": ("bytes", "bytes"),
        "data.paths": (f"{book}", [str(book)]),
        "data.source": ("text", "text"),
        "model.context": ("1_6", 16),
        "model.kv_heads": ("none", None),
        "model.tied": ("true", True),
        "model.vocab": ("384", 384),  # the tokenizer's; another number is refused
        "model.position": ('{"name": "rope", "part": 0.5}', None),
        "model.position.theta": ("5e5", None),
    }
    words = [word for name, (text, _) in changes.items() for word in ("--set", f"{name}={text}")]
    good("train", "llama", "--debug", "--quiet", "--out", tmp_path / "run", "--set", "train.batch=2", *words)
    found = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    found["model"] = found["model"]["config"] | {"position": found["model"]["parts"]["position"]}
    for name, (_, value) in changes.items():
        part, _, field = name.partition(".")
        if "position" not in field:
            assert found[part][field] == value, name
    position = found["model"]["position"]
    assert (position["name"], position["part"], position["theta"]) == ("rope", 0.5, 5e5)


def test_the_last_word_wins_debug_then_data_then_settings(tmp_path: Path, book: Path):
    words = ("--data", book, "--set", "train.steps=5", "--set", "train.steps=1", "--set", "model.width=32")
    good("train", "python_stdlib", "--debug", "--quiet", "--out", tmp_path / "run", *words)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["data"]["source"] == "text" and settings["data"]["paths"] == [str(book)]
    assert settings["train"]["steps"] == 1 and settings["model"]["config"]["width"] == 32


@pytest.mark.parametrize("kind", ["window", "features"])
def test_an_attention_kind_trains_saves_resumes_and_generates(kind: str, tmp_path: Path):
    """As sizes: a window narrower than the rows; features, which are tensors that no optimiser touches."""
    out, size = tmp_path / "run", {"window": "size", "features": "features"}[kind]
    words = (*TINY, "--set", f"model.attention={kind}", "--set", f"model.attention.{size}=8")
    good("train", "llama", "--out", out, *words)
    assert good("show", out, "--json").data["model"]["attention"]["name"] == kind
    found = good("generate", out, "--prompt", "the moon", "--tokens", 4, "--temperature", 0, "--json").data
    assert found["tokens"] >= 1 and found["logprob"] < 0
    weights = (out / "model.safetensors").read_bytes()
    good("train", "llama", "--out", out, *words, "--resume")
    assert (out / "model.safetensors").read_bytes() == weights


# Every scheme in every family is tests/test_swaps.py's; here it is the command line's way there and back.
@pytest.mark.parametrize(("scheme", "family"), [("rope", "transformer"), ("shaw", "llama"), ("t5", "transformer")])
def test_any_position_scheme_trains_saves_loads_and_generates(scheme: str, family: str, tmp_path: Path):
    out = tmp_path / "run"
    good("train", family, "--out", out, *TINY, "--set", f"model.position={scheme}")
    assert type(load(out).blueprint.position) is SCHEMES[scheme]
    assert good("show", out, "--json").data["model"]["position"]["name"] == scheme
    found = good("generate", out, "--prompt", "the moon", "--tokens", 4, "--temperature", 0, "--json").data
    assert found["tokens"] >= 1 and found["logprob"] < 0
    weights = (out / "model.safetensors").read_bytes()
    good("train", family, "--out", out, *TINY, "--set", f"model.position={scheme}", "--resume")
    assert (out / "model.safetensors").read_bytes() == weights
