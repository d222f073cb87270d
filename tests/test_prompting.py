"""Prompted models: tasks as data, examples by seed, likelihoods against a slow and obvious computation, refusals."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import good
from commands import weft as call

import weft
from weft.data import Bytes, train_tokenizer
from weft.data.labelled import TextRow, Where
from weft.evaluate import METRICS
from weft.evaluate.continuations import Ask, continued
from weft.evaluate.prompting import PROMPTS, Draw, Prompts, PromptTask, find_task, read_task
from weft.evaluate.prompting.pattern import Pattern
from weft.files import DamagedFile
from weft.generate import GREEDY, Sampling
from weft.hub import Model, prompt
from weft.hub.continuing import Asked, continuations, parted
from weft.models import Blueprint

MOOD = PromptTask("Review: {text}\nMood:", "label", ("bad", "good"), ("no", "yes"))
NEAR = dict(rel=1e-5, abs=1e-4)


def made(family: str, tokenizer: Any = None, **settings: Any) -> Model:
    tokenizer = tokenizer or Bytes()
    blueprint = Blueprint.of(family, "debug", vocab=tokenizer.vocab, context=settings.pop("context", 256), **settings)
    return Model(blueprint.build(seed=0), blueprint, tokenizer)


@pytest.fixture(scope="module")
def decoder() -> Model:
    """A decoder over bytes: no two of them are ever joined in a token."""
    return made("llama")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty films, every third of them bad."""
    path = tmp_path / "films.tsv"
    path.write_text("text\tlabel\n" + "".join(f"film {n}\t{'no' if n % 3 == 0 else 'yes'}\n" for n in range(40)))
    return path


@torch.no_grad()
def slowly(model: Model, text: str, continuation: str) -> float:
    """-log p of a text's continuation, one row at a time, from the scores of the whole row."""
    tokenizer = model.need_tokenizer()
    ids = [tokenizer.end, *tokenizer.encode(text + continuation)]
    first = len(ids) - len(tokenizer.encode(continuation))
    logs = model.logits(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)  # [T-1, V]
    return -sum(float(logs[place - 1, ids[place]]) for place in range(first, len(ids)))


# ---------------------------------------------------------------------------------------------------------- likelihoods


@pytest.mark.parametrize(("family", "part"), [("llama", ""), ("gpt2", ""), ("gpt2", "window"), ("mixtral", "")])
def test_a_continuation_has_the_likelihood_that_whole_rows_give_it(family: str, part: str) -> None:
    model = made(family)
    model = model.change("attention", '{"name": "window", "size": 16}') if part else model
    asked = [
        Asked("Once upon a time there was", (" a fox.", " b"), "one"),
        Asked("Once upon a time there were", (" three", " bears", " and a very long tail of words", "x"), "two"),
        Asked("", ("No prompt at all",), "three"),
        Asked("Once upon a time there was", (" a fox.",), "once more"),
    ]
    found = continuations(model, asked)
    for one, scored in zip(asked, found, strict=True):
        for text, told in zip(one.continuations, scored, strict=True):
            assert told.nats == pytest.approx(slowly(model, one.prompt, text), **NEAR), (one.prompt, text)
            assert told.tokens == len(text.encode())
    for tokens in (1, 64, 200):  # a prompt a pass, some, more
        for told, other in zip(continuations(model, asked, tokens=tokens), found, strict=True):
            assert [a.nats for a in told] == pytest.approx([b.nats for b in other], **NEAR)


@pytest.mark.parametrize("family", ["t5", "transformer"])
@torch.no_grad()
def test_of_an_encoder_decoder_a_prompt_is_the_source(family: str) -> None:
    model, tokenizer = made(family), Bytes()
    asked = [Asked("a longer source", ("ja", "nein, nicht"), "one"), Asked("short", ("x",), "two")]
    found = continuations(model, asked)
    for one, scored in zip(asked, found, strict=True):
        source = torch.tensor([[*tokenizer.encode(one.prompt), tokenizer.end]])
        for text, told in zip(one.continuations, scored, strict=True):
            target = [*model.begins, *tokenizer.encode(text)]
            logs = model.logits(source, torch.tensor([target[:-1]]))[0].double().log_softmax(-1)  # [T, V]
            first = len(model.begins)
            nats = -sum(float(logs[place - 1, target[place]]) for place in range(first, len(target)))
            assert told.nats == pytest.approx(nats, **NEAR) and told.tokens == len(text)


def test_greedy_says_whether_the_model_would_write_it(decoder: Model) -> None:
    ids = [decoder.need_tokenizer().end, *b"Once upon"]
    written = list(decoder.generate(ids, GREEDY, tokens=4).ids)
    other = [*written[:3], (written[3] + 1) % 256]
    (found,) = continued(decoder.module, [Ask(ids, [written, other, written[:1]])], context=256)
    assert [one.greedy for one in found] == [True, False, True]


def test_a_token_that_joins_prompt_and_continuation_is_the_continuations() -> None:
    tokenizer = train_tokenizer("bpe", ["the answer: yes no yes no maybe"] * 20, 300)
    model = made("llama", tokenizer)
    assert len(tokenizer.encode(" yes")) == 1
    for text in ("the answer:", "the answer: "):  # the space is joined to the word that follows
        own, (yes, no) = parted(
            tokenizer, text, ["yes" if text[-1] == " " else " yes", " no".lstrip(" " * (text[-1] == " "))]
        )
        assert tokenizer.decode(own) == "the answer:"
        assert (yes, no) == (tokenizer.encode(" yes"), tokenizer.encode(" no"))
    # what is the prompt's is the same for all of them, so that two compare as their whole texts do
    words = ("es", " no", "o")
    (found,) = continuations(model, [Asked("the answer: y", words, "x")])
    wholes = [continuations(model, [Asked("", ("the answer: y" + word,), "x")])[0][0].nats for word in words]
    for a in range(3):
        for b in range(3):
            assert found[a].nats - found[b].nats == pytest.approx(wholes[a] - wholes[b], **NEAR)


def test_prompts_that_are_too_long_are_refused_or_lose_their_beginning() -> None:
    model = made("gpt2", context=32)
    long = "".join(chr(ord("a") + n % 26) for n in range(60))
    with pytest.raises(
        ValueError, match=r"film, line 3: the prompt has 61 tokens, and 30 have room in the context of 32"
    ):
        continuations(model, [Asked(long, ("xyz",), "film, line 3")])
    lost = list[Asked]()
    ((found,),) = continuations(model, [Asked(long, ("xyz",), "x")], cut=True, lost=lost.append)
    assert [one.name for one in lost] == ["x"]
    assert found.nats == pytest.approx(slowly(model, long[-29:], "xyz"), **NEAR)  # what begins a document stays
    whole = long[:29]
    ((found,),) = continuations(model, [Asked(whole, ("xyz",), "x")])  # the last token is not read: 33 fit
    assert found.nats == pytest.approx(slowly(model, whole, "xyz"), **NEAR)
    for cut in (False, True):
        with pytest.raises(ValueError, match="x: "):
            continuations(model, [Asked("a", ("b" * 40,), "x")], cut=cut)
    with pytest.raises(ValueError, match="row: '' after the prompt has no tokens of its own"):
        continuations(model, [Asked("a", ("",), "row")])


# ----------------------------------------------------------------------------------------------------------- generation


def test_what_is_written_ends_before_the_first_stop(decoder: Model) -> None:
    prompts = ["Once", "The second prompt is longer", "x"]
    whole = [decoder.generate(text, GREEDY, tokens=24).text for text in prompts]
    assert decoder.generate_until(prompts, [], tokens=24) == whole
    stops = [whole[0][3:5], whole[1][10:12], "nowhere to be found"]  # they stand in several tokens
    wanted = [min((text.split(stop)[0] for stop in stops), key=len) for text in whole]
    assert wanted != whole and decoder.generate_until(prompts, stops, tokens=24) == wanted
    assert decoder.generate_until(prompts, stops, tokens=24, batch=1) == wanted
    drawn = Sampling(temperature=1.0, seed=3)
    assert decoder.generate_until(prompts, ["e"], drawn, batch=1) == decoder.generate_until(prompts, ["e"], drawn)


# ------------------------------------------------------------------------------------------------------ tasks as data


def test_a_template_has_places_for_columns() -> None:
    pattern = Pattern.read('{{"q": "{a b}"}} {2}')
    assert pattern.columns == ("a b", "2")
    assert pattern.fill({"a b": "{x}", "2": "}"}) == '{"q": "{x}"} }'
    for text in ("{", "a } b", "{}", "{a{b}}"):
        with pytest.raises(ValueError, match="has a lone"):
            Pattern.read(text)


def test_a_task_is_read_from_either_form_and_errors_name_its_file(tmp_path: Path) -> None:
    toml, plain = tmp_path / "mood.toml", tmp_path / "mood.json"
    toml.write_text(
        'template = "Review: {text}\\nMood:"\nanswer = "label"\nchoices = ["bad", "good"]\nlabels = ["no", "yes"]\n'
    )
    told = {"template": MOOD.template, "answer": "label", "choices": ["bad", "good"], "labels": ["no", "yes"]}
    plain.write_text(json.dumps(told))
    assert read_task(toml) == read_task(plain) == find_task(str(toml)) == MOOD
    assert find_task("sst2") == PROMPTS.get("sst2")
    for change, message in (
        ({"choises": []}, "has no setting 'choises'; did you mean 'choices'"),
        ({"shots": "many"}, "shots is a whole number, not 'many'"),
        ({"scoring": "guess"}, "scoring is one of likelihood, generation"),
        ({"choices": ["good"]}, "among choices, and there are 1"),
        ({"labels": ["yes"]}, "1 labels and 2 choices"),
        ({"choices": ["bad", "bad"]}, "the choice 'bad' is given 2 times"),
        ({"template": "{text"}, "has a lone '{', at character 1"),
        ({"metric": "bleu"}, "the metric 'bleu' needs texts .* a prompt scored by likelihood, which gives classes"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"scoring": "generation", "normalisation": "bytes"}, "is of likelihoods, and the scoring is by generation"),
        ({"shots": -1}, "of shots there are 0 or more"),
    ):
        plain.write_text(json.dumps(told | change))
        with pytest.raises(ValueError, match=f"mood.json: .*{message}"):
            read_task(plain)
    toml.write_text("template = \n")
    with pytest.raises(DamagedFile, match=r"mood.toml is not TOML: .*line 1"):
        read_task(toml)
    plain.write_text("[]")
    with pytest.raises(DamagedFile, match="mood.json holds \\[\\], not settings by name"):
        read_task(plain)
    with pytest.raises(ValueError, match="no prompt task is called 'sts2'; did you mean 'sst2'"):
        find_task("sts2")
    with pytest.raises(ValueError, match="there is no file nowhere.toml"):
        find_task("nowhere.toml")


# ------------------------------------------------------------------------------------------------------------- examples


def films(count: int, file: str = "films.tsv") -> list[TextRow]:
    return [
        TextRow(Where(file, f"line {n}"), {"text": f"film {n}", "label": "no" if n % 3 == 0 else "yes"})
        for n in range(count)
    ]


def test_examples_are_a_function_of_the_seed_and_never_the_asked_row() -> None:
    prompts = Prompts(replace(MOOD, shots=4, instruction="Film reviews."), films(9))
    seen = set()
    for seed in range(20):
        drawn = [prompts.question(number, Draw(seed)) for number in range(9)]
        for number, one in enumerate(drawn):
            assert len(set(one.examples)) == 4 and prompts.rows[number].where not in one.examples
        usual = Counter(one.examples for one in drawn).most_common(1)[0]
        assert usual[1] >= 5  # all but those that are examples themselves have the same ones
        seen.add(usual[0])
    assert len(seen) == 20
    one = prompts.question(2, Draw(1))
    films_ = [int(where.place.removeprefix("line ")) for where in one.examples]
    shown = [f"Review: film {n}\nMood: {'bad' if n % 3 == 0 else 'good'}" for n in films_]
    assert one.prompt == "\n\n".join(["Film reviews.", *shown, "Review: film 2\nMood:"])
    assert one.answers == (" bad", " good") and one.right == 1
    pool = films(6, "train.tsv")
    other = Prompts(prompts.task, films(2), pool).question(0, Draw(0))
    assert all(where.file == "train.tsv" for where in other.examples)


def test_random_labels_are_drawn_from_the_choices_and_nothing_else_changes() -> None:
    task = PromptTask("Q: {text}", "label", ("a", "b", "c"), ("0", "1", "2"), shots=8)
    rows = [TextRow(Where("x", f"line {n}"), {"text": str(n), "label": "0"}) for n in range(30)]
    prompts, counts = Prompts(task, rows), Counter[str]()
    for seed in range(200):
        shares = [prompts.question(29, Draw(seed, share)) for share in (0.0, 0.25, 0.5, 1.0)]
        lines = [one.prompt.split("\n\n")[:-1] for one in shares]
        assert (
            len({tuple(line[:-1] for line in each) for each in lines}) == 1
            and len({one.examples for one in shares}) == 1
        )
        assert [line[-1] for line in lines[0]] == ["a"] * 8
        changed = [{n for n, line in enumerate(each) if line[-1] != "a"} for each in lines]
        assert changed[1] <= changed[2] <= changed[3] and len(changed[1]) <= 2 and len(changed[2]) <= 4
        counts.update(line[-1] for line in lines[3])
    assert all(abs(counts[label] / 1600 - 1 / 3) < 0.04 for label in "abc")  # three deviations: 0.035
    alone, changed = Prompts(replace(task, shots=1), rows), 0
    for seed in range(300):  # half of one example: in half of the seeds, of whose labels two thirds are others
        changed += alone.question(29, Draw(seed, 0.5)).prompt.split("\n\n")[0][-1] != "a"
    assert abs(changed / 300 - 1 / 3) < 0.08  # three deviations
    with pytest.raises(ValueError, match="random labels: 0.5 of them, and the task has no examples"):
        Prompts(replace(task, shots=0), rows).question(0, Draw(0, 0.5))
    with pytest.raises(ValueError, match="random labels: 2 is a share"):
        prompts.question(0, Draw(0, 2))


def test_rows_may_have_choices_of_their_own(tmp_path: Path, decoder: Model) -> None:
    path = tmp_path / "piqa.jsonl"
    path.write_text(
        "".join(json.dumps({"goal": f"g{n}", "a": f"one {n}", "b": "two", "right": n % 2}) + "\n" for n in range(4))
    )
    task = PromptTask("{goal}:", "right", ("{a}", "{b}"), shots=1)
    one = Prompts.read(task, path).question(3, Draw(0))
    assert one.answers == (" one 3", " two") and one.right == 1 and one.prompt.endswith("\n\ng3:")
    assert len(prompt(decoder, task, path).runs[0].predicted) == 4
    path.write_text(json.dumps({"goal": "g", "a": "two", "b": "two", "right": 0}) + "\n")
    with pytest.raises(ValueError, match=r"piqa.jsonl, line 1: two choices are 'two'"):
        prompt(decoder, replace(task, shots=0), path)


# ---------------------------------------------------------------------------------------------------------- whole runs


@pytest.mark.parametrize("how", ["none", "tokens", "bytes", "unconditional"])
def test_what_is_predicted_is_what_the_slow_computation_says(how: Any, rows: Path, decoder: Model) -> None:
    task = replace(MOOD, choices=("so bad", "good"), normalisation=how, premise="Mood:")
    found = prompt(decoder, task, rows, shots=2, seeds=(0, 5), random_labels=(0.0, 1.0))
    assert [run.draw for run in found.runs] == [Draw(0), Draw(5), Draw(0, 1.0), Draw(5, 1.0)]
    prompts = Prompts.read(replace(task, shots=2), rows)
    for run in found.runs:
        scores = [_scores(decoder, task, prompts.question(number, run.draw)) for number in range(0, 40, 9)]
        for number, wanted in zip(range(0, 40, 9), scores, strict=True):
            assert run.lines[number]["scores"] == pytest.approx(wanted, **NEAR)
            assert run.predicted[number] == max((0, 1), key=wanted.__getitem__)
        gold = [0 if n % 3 == 0 else 1 for n in range(40)]
        assert run.score.value == METRICS.get("accuracy").score(run.predicted, gold).value
        assert run.interval is not None and run.interval.low <= run.score.value <= run.interval.high
    assert found.constant == 26 / 40
    spread, against = found.spread(1.0), found.against(1.0)
    means = [sum(run.score.value for run in found.runs[at : at + 2]) / 2 for at in (0, 2)]
    assert spread is not None and spread.mean == pytest.approx(means[1])
    assert against is not None and against.difference.value == pytest.approx(means[0] - means[1])


def _scores(model: Model, task: PromptTask, question: Any) -> list[float]:
    found = []
    for choice in task.choices:
        nats = slowly(model, question.prompt, " " + choice)
        if task.normalisation == "unconditional":
            nats -= slowly(model, "Mood:", " " + choice)
        count = {"tokens": len(choice) + 1, "bytes": len(choice)}.get(task.normalisation, 1)
        found.append(-nats / count)
    return found


def test_probabilities_and_what_is_written_are_scored_too(rows: Path, decoder: Model) -> None:
    likely = prompt(decoder, replace(MOOD, metric="nll"), rows).runs[0]
    shares = torch.tensor([line["scores"] for line in likely.lines]).softmax(-1)
    assert torch.allclose(torch.tensor(likely.predicted), shares, atol=1e-5)
    written = replace(MOOD, scoring="generation", tokens=6, stops=("e",))
    for metric, needs in (("accuracy", "classes"), ("exact_match", "answers"), ("tokenised_bleu", "texts")):
        found = prompt(decoder, replace(written, metric=metric), rows, shots=1)
        assert found.metric.needs == needs and len(found.runs[0].predicted) == 40
        assert all("e" not in line["predicted"] for line in found.runs[0].lines)
    free = PromptTask("{text}", "label", scoring="generation", tokens=3)
    assert prompt(decoder, free, rows).metric.name == "exact_match"


class Parrot(Model):
    """Writes what it is told to."""

    def generate_until(self, prompts: Sequence[Any], *_: Any, **__: Any) -> list[str]:
        return [[" good", " bad ", " Good!", ""][row % 4] for row in range(len(prompts))]


def test_what_is_written_is_a_choice_or_wrong(rows: Path, decoder: Model) -> None:
    parrot = Parrot(decoder.module, decoder.blueprint, decoder.tokenizer)
    found = prompt(parrot, replace(MOOD, scoring="generation"), rows).runs[0]
    assert found.predicted == [1, 0, -1, -1] * 10
    exact = prompt(parrot, replace(MOOD, scoring="generation", metric="exact_match"), rows).runs[0]
    assert exact.predicted[2] == "Good!" and exact.gold[1] == ["good"]
    assert [line["correct"] for line in exact.lines[:4]] == [False, False, False, False]
    gold = torch.tensor(found.gold)
    right = int((gold[0::4] == 1).sum())  # " good" is said of every fourth row, and nothing else finds a good one
    f1 = prompt(parrot, replace(MOOD, scoring="generation", metric="f1"), rows).runs[0]
    assert f1.score.value == pytest.approx(2 * right / (10 + int((gold == 1).sum())))
    macro = prompt(parrot, replace(MOOD, scoring="generation", metric="macro_f1"), rows).runs[0]
    other = 2 * int((gold[1::4] == 0).sum()) / (10 + int((gold == 0).sum()))
    assert macro.score.value == pytest.approx((f1.score.value + other) / 2)


@pytest.mark.parametrize("scoring", ["likelihood", "generation"])
def test_a_metric_of_two_classes_is_refused_where_there_are_three_choices(scoring: Any) -> None:
    with pytest.raises(ValueError, match='two classes.*are 3.*metric = "macro_f1"'):
        PromptTask("{text}", "label", ("bad", "good", "so"), scoring=scoring, metric="f1")


# -------------------------------------------------------------------------------------------------------- what is wrong


def test_what_is_wrong_with_a_row_is_said_with_file_and_line(tmp_path: Path, rows: Path, decoder: Model) -> None:
    path = tmp_path / "bad.tsv"
    for text, task, message in (
        (
            "text\tlabel\na\tyes\nb\tyess\n",
            MOOD,
            r"bad.tsv, line 3: the answer 'yess' is not among .* did you mean 'yes'",
        ),
        (
            "words\tlabel\na\tyes\n",
            MOOD,
            r"the task's template 'Review: {text}.*' names the column 'text', which \S*bad.tsv does not have; "
            r"it has: 'words', 'label': name one of those in the task, or give another file",
        ),
        ("text\tsaid\na\tyes\n", MOOD, r"the task's answer = 'label' names the column 'label', which .*'text', 'said'"),
        (
            "text\tlabel\na\tyes\n",
            replace(MOOD, choices=("{one}", "{two}")),
            r"the task's choice '{one}' names the column 'one', which .* it has: 'text', 'label'",
        ),
        (
            "a\tyes\n",
            replace(MOOD, template="{3}", answer="2", header=False),
            r"the task's template '\{3\}' names the column '3', which .* it has: '1', '2'",
        ),
        ("text\tlabel\na\tyes\nb\n", MOOD, r"bad.tsv, line 3: the row has 1 values and the header 2"),
        (
            "text\tlabel\na\tyes\nb\tno\n",
            replace(MOOD, shots=2),
            r"bad.tsv: 2 examples .* there are 1 rows beside the one",
        ),
        (
            f"text\tlabel\na\tyes\n{'b' * 300}\tno\n",
            MOOD,
            r"bad.tsv, line 3: the prompt has 3\d\d tokens, and 25\d have",
        ),
        (f"text\tlabel\n{'b' * 300}\tno\n", replace(MOOD, scoring="generation"), r"bad.tsv, line 2: the prompt has"),
        ("", MOOD, r"bad.tsv has no rows"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            prompt(decoder, task, path)
    path.write_text("text\tlabel\na\tno\nb\tmaybe\n")
    with pytest.raises(ValueError, match=r"bad.tsv, line 3: the answer 'maybe'"):
        prompt(decoder, MOOD, rows, examples=path)
    with pytest.raises(ValueError, match=r"bad.tsv: 3 examples .* there are 2 rows: ask for fewer shots"):
        path.write_text("text\tlabel\na\tno\nb\tyes\n")
        prompt(decoder, MOOD, rows, examples=path, shots=3)
    with pytest.raises(ValueError, match="an encoder reads whole rows"):
        prompt(made("bert"), MOOD, rows)
    with pytest.raises(ValueError, match="at least one each, and each once"):
        prompt(decoder, MOOD, rows, shots=1, seeds=(1, 1))


# -------------------------------------------------------------------------------------------------------- the command


def test_eval_prompts_a_model_and_says_how(decoder: Model, rows: Path, tmp_path: Path) -> None:
    weft.save(decoder, tmp_path / "model")
    task = tmp_path / "mood.json"
    told = {"template": MOOD.template, "answer": "label", "choices": ["bad", "good"], "labels": ["no", "yes"]}
    task.write_text(json.dumps(told))
    asked = ("eval", tmp_path / "model", "--task", task, "--data", rows, "--shots", 2)
    out = tmp_path / "said.jsonl"
    several = ("--seeds", "0,1", "--random-labels", "0,1", "--out", out)
    found = good(*asked, *several, "--json").data
    assert found["metric"] == "accuracy" and found["rows"] == 40 and found["constant"] == 0.65
    assert [(run["seed"], run["random_labels"]) for run in found["runs"]] == [(0, 0.0), (1, 0.0), (0, 1.0), (1, 1.0)]
    assert found["shares"][0]["spread"]["count"] == 2 and found["shares"][1]["first_minus_this"]["p"] > 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 160 and [bool(line.get("prompt")) for line in lines].count(True) == 4
    assert sum(line["correct"] for line in lines[:40]) / 40 == found["runs"][0]["score"]
    done = call(*asked, *several)
    assert done.status == 1 and f"{out} is there already: replace it with --overwrite" in done.err
    shown = good(*asked, *several, "--overwrite").out
    for part in ("by likelihood, log p(answer | prompt)", "2 shots, 40 rows", "accuracy: share equal", "0 less 1"):
        assert part in shown
    for words, message in (
        (("--seeds", "a"), "--seeds a: numbers with commas between them, 0,1,2"),
        (("--stride", "4"), "--stride is of held-out likelihood: leave out --task"),
        (("--data", rows), "a task is evaluated on one file, and --data is given 2 times"),
        (("--shots", "99"), "there are 39 rows beside the one that is asked"),
    ):
        done = call(*asked, *words)
        assert done.status == 1 and message in done.err, done.err
    for own in (rows, task):  # what is read is not written to
        done = call(*asked, "--examples", task, "--out", own, "--overwrite")
        assert done.status == 1 and f"{own} is what is read" in done.err, done.err
    done = call("eval", tmp_path / "model", "--data", rows, "--shots", 2)
    assert done.status == 1 and "--shots is of --task" in done.err
    done = call("eval", tmp_path / "model", "--data", rows, "--task", "sst3")
    assert done.status == 1 and "did you mean 'sst2'" in done.err
