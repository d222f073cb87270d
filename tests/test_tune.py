"""Fine-tuning: each task from files to predictions, the reference's losses, what is kept, what is refused."""

import json
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import good, stop_after
from commands import weft as run
from tuned import BAD, GOOD, NAMES, encoder, entity, mood, questions, run_of, run_tokenizer, speech, table, tagged

import weft
from weft.batch import IGNORED, Batch
from weft.data import Bytes, places
from weft.data.labelled import Line, Padded, choose_some
from weft.data.labelled.frame import Frame
from weft.files import DamagedFile, read_tensors, write_tensors
from weft.hub import Model, as_ours
from weft.models import Blueprint
from weft.nn import Encoder, EncoderDecoder, Layout
from weft.objectives.tasks import Answer, Classify
from weft.objectives.writing import layout
from weft.recipes.tuning import USUAL, Columns, Tuning, predict, read_tuned, tune
from weft.recipes.tuning.kinds import KINDS
from weft.recipes.tuning.prepare import prepare
from weft.recipes.tuning.run import built
from weft.training.log import read
from weft.training.settings import TrainSettings

FAST = replace(USUAL, rate=3e-3, batch=8, precision="fp32", kernel="matmul", epochs=3, warmup=2)
QUICK = ("--rate", "3e-3", "--batch", 8, "--quiet", "--set", "train.precision=fp32", "--set", "train.kernel=matmul")
NUMBERED = Columns("1", label="2", header=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a pooler; read it only."""
    return encoder(tmp_path_factory.mktemp("model") / "encoder")


@pytest.fixture(scope="module")
def moods(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Texts with two classes, to train on and to be judged by; no header."""
    place = tmp_path_factory.mktemp("moods")
    return table(place / "train.tsv", 128, 1, mood), table(place / "dev.tsv", 40, 2, mood)


@pytest.fixture(scope="module")
def tuned(folder: Path, moods: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned model; read it only."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    tune(Tuning(folder, "classify", *moods, NUMBERED, train=FAST), out)
    return out


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------------------------------------------ the verbs


def test_a_class_is_learned_saved_and_predicted(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    train, dev = moods
    files = ("--data", train, "--dev", dev, "--text", 1, "--label", 2, "--no-header")
    out = tmp_path / "out"
    found = good("tune", folder, "--task", "classify", *files, "--epochs", 3, *QUICK, "--out", out, "--json").data
    assert found["scores"] == [1.0] and found["metric"] == "accuracy" and found["constant"] < 0.7
    shown = good("predict", out, "--data", dev, "--out", tmp_path / "said.jsonl", "--score").out
    assert shown.startswith("accuracy 1 (share equal)") and "40 predictions" in shown
    gold = [line.split("\t")[1] for line in dev.read_text().splitlines()]
    said = lines(tmp_path / "said.jsonl")
    assert [line["label"] for line in said] == gold
    assert all(sum(line["probabilities"].values()) == pytest.approx(1) for line in said)
    texts = tmp_path / "texts.csv"
    texts.write_text(
        "number,what\n1,good film\n2,the music was awful\n"
    )  # other columns than those it was tuned on, no labels
    good("predict", out, "--data", texts, "--text", "what", "--out", tmp_path / "new.jsonl")
    assert [line["label"] for line in lines(tmp_path / "new.jsonl")] == ["yes", "no"]


def test_what_is_saved_is_the_model_tuned_as_save_writes_it(
    folder: Path, tuned: Path, moods: tuple[Path, Path]
) -> None:
    config = json.loads((tuned / "config.json").read_text())
    assert config["architectures"] == json.loads((folder / "config.json").read_text())["architectures"]
    before, after = weft.load(folder), weft.load(tuned)
    assert after.blueprint == before.blueprint and after.tokenizer is not None
    changed = {
        name for name, tensor in after.module.state_dict().items() if not tensor.equal(before.module.state_dict()[name])
    }
    assert "embed.weight" in changed and "pooler.dense.weight" in changed
    tokens = torch.tensor([[2, 5, 6, 3]])
    assert isinstance(after.module, Encoder)
    scores = read_tuned(tuned).module(Batch(tokens))
    head = read_tensors(tuned / "head.safetensors")
    assert set(head) == {"out.weight", "out.bias"}
    pooled = after.module.pool(after.encode(tokens))
    assert torch.allclose(scores, pooled @ head["out.weight"].T + head["out.bias"], atol=1e-6)


def test_several_seeds_give_a_mean_and_a_deviation_and_the_best_is_kept(
    folder: Path, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    files = ("--data", moods[0], "--dev", moods[1], "--text", 1, "--label", 2, "--no-header")
    words = (
        "tune",
        folder,
        "--task",
        "classify",
        *files,
        *QUICK,
        "--set",
        "train.steps=6",
        "--metric",
        "nll",
        "--seeds",
        3,
    )
    found = good(*words, "--out", tmp_path / "out", "--json").data
    scores = found["scores"]
    assert len(set(scores)) == 3 and found["seed"] == scores.index(min(scores))  # nll: lower is better
    assert found["spread"]["mean"] == pytest.approx(sum(scores) / 3) and found["spread"]["count"] == 3
    data = good("predict", tmp_path / "out", "--data", moods[1], "--out", tmp_path / "p", "--score", "--json").data
    assert data["score"]["value"] == pytest.approx(min(scores), abs=1e-6)
    shown = good(*words, "--out", tmp_path / "out", "--overwrite").out
    assert f"{found['spread']['mean']:.4f} ± {found['spread']['deviation']:.4f}" in shown  # the same again


# ------------------------------------------------------------------------------------------------------------ the tasks


def test_a_number_is_learned(folder: Path, tmp_path: Path) -> None:
    def rated(draw: random.Random) -> tuple[str, str]:
        words = draw.choices((*GOOD, *BAD), k=3)
        return " ".join(words), str(sum(word in GOOD for word in words) / 3)

    files = [table(tmp_path / f"{seed}.tsv", 120, seed, rated, "text\tlabel") for seed in (1, 2)]
    found = tune(Tuning(folder, "regress", *files, train=replace(FAST, epochs=5)), tmp_path / "out")
    assert found.metric.name == "pearson" and found.score is not None and found.score > 0.9
    assert found.constant is None
    predict(tmp_path / "out", files[1], tmp_path / "p.jsonl")
    gold = [float(line.split("\t")[1]) for line in files[1].read_text().splitlines()[1:]]
    said = [line["score"] for line in lines(tmp_path / "p.jsonl")]
    assert sum(abs(one - other) for one, other in zip(said, gold, strict=True)) / len(gold) < 0.15


def test_what_a_tuning_in_bf16_is_judged_by_is_what_the_saved_model_scores(folder: Path, tmp_path: Path) -> None:
    def rated(draw: random.Random) -> tuple[str, str]:
        return " ".join(draw.choices((*GOOD, *BAD), k=3)), str(draw.random())

    files = [table(tmp_path / f"{seed}.tsv", 40, seed, rated, "text\tlabel") for seed in (1, 2)]
    train = replace(FAST, precision="bf16", epochs=2)
    found = tune(Tuning(folder, "regress", *files, train=train), tmp_path / "out")
    again = predict(tmp_path / "out", files[1], None, labelled=True)
    assert again.score is not None and found.score == pytest.approx(again.score.value, abs=1e-6)


@pytest.mark.parametrize("every_piece", [False, True])
def test_entities_are_found(folder: Path, tmp_path: Path, every_piece: bool) -> None:
    files = [tagged(tmp_path / f"{seed}.conll", 48, seed, entity) for seed in (1, 2)]
    tuning = Tuning(folder, "tag", *files, every_piece=every_piece, train=replace(FAST, epochs=8))
    found = tune(tuning, tmp_path / "out")
    assert found.metric.name == "entity_f1" and found.score is not None and found.score > 0.95
    assert read_tuned(tmp_path / "out").description.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    words = tmp_path / "words.conll"
    words.write_text("the\nfilm\nwith\nanna\nin\n\nthe\nanna\nwas\nrome\noslo\n")  # no tags: they are not needed
    predict(tmp_path / "out", words, tmp_path / "p.jsonl")
    assert lines(tmp_path / "p.jsonl") == [
        {"words": ["the", "film", "with", "anna", "in"], "tags": ["O", "O", "O", "B-PER", "O"]},
        {"words": ["the", "anna", "was", "rome", "oslo"], "tags": ["O", "B-PER", "O", "B-LOC", "I-LOC"]},
    ]


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("task", ["classify", "tag", "answer"])
def test_a_model_of_ones_own_reads_the_same_rows_when_it_is_tuned_and_afterwards(
    family: str, task: str, tmp_path: Path
) -> None:
    """And as a copy of it in the published layout: a run's tokenizer says nothing of what stands around a text."""
    begin, copy = run_of(family, tmp_path / "run"), tmp_path / "copy"
    weft.save(weft.load(begin), copy)
    file, columns = tagged(tmp_path / "a.conll", 30, 1, entity), Columns()
    if task == "classify":
        file = table(tmp_path / "a.tsv", 40, 1, lambda draw: (*mood(draw), draw.choice(NAMES)), "text\tlabel\tpair")
        columns = Columns("text", "pair", "label")
    elif task == "answer":
        file = questions(tmp_path / "a.json", 30, 1, impossible=True)
    tuning = Tuning(begin, task, file, file, columns, context=40, train=replace(FAST, epochs=1))
    found = tune(tuning, tmp_path / "out")
    again = predict(tmp_path / "out", file, None, labelled=True, device="cpu").score
    assert again is not None and again.value == found.score
    tune(replace(tuning, begin=copy), tmp_path / "other")
    logs = [read(tmp_path / out / "seed-0" / "log.jsonl") for out in ("out", "other")]
    losses = [[line["loss"] for line in log if "loss" in line] for log in logs]
    assert losses[0] == losses[1]
    ours = as_ours(Blueprint.of(family, "debug"), run_tokenizer())  # which training puts there
    kept, own = (Frame.of(it, 40) for it in (read_tuned(tmp_path / "out").model.need_tokenizer(), ours))
    for one, other in ((kept.one([7, 8]), own.one([7, 8])), (kept.two([7], [8, 9]), own.two([7], [8, 9]))):
        assert (one.ids.tolist(), one.types.tolist()) == (other.ids.tolist(), other.types.tolist())


def test_the_column_of_words_is_not_asked_for_where_it_is_fixed(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.conllu"
    file.write_text("1\tthe\tthe\tDET\tDT\t_\t0\troot\t_\t_\n")
    with pytest.raises(ValueError, match="has words in the column FORM, not in 'LEMMA': leave --text out"):
        tune(Tuning(folder, "tag", file, file, Columns("LEMMA"), train=FAST), tmp_path / "out")


def test_other_tags_are_scored_by_word_and_long_sentences_are_divided(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    files = [tagged(tmp_path / f"{seed}.conll", 60, seed, speech) for seed in (1, 2)]
    found = good(
        "tune", folder, "--task", "tag", "--data", files[0], "--dev", files[1], "--longest", 12, *QUICK, "--epochs", 5,
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert found.data["metric"] == "token_accuracy" and found.data["scores"][0] > 0.98
    assert 0.3 < found.data["constant"] < 0.8
    done = good("predict", tmp_path / "out", "--data", files[1], "--out", tmp_path / "p.jsonl", "--score")
    assert "were divided" in done.err
    said = lines(tmp_path / "p.jsonl")
    assert len(said) == 60 and all(len(line["words"]) == len(line["tags"]) for line in said)


def test_questions_are_answered_and_some_have_no_answer(folder: Path, tmp_path: Path) -> None:
    files = [questions(tmp_path / f"{seed}.json", 60, seed, impossible=True) for seed in (1, 2)]
    tuning = Tuning(folder, "answer", *files, context=32, train=replace(FAST, epochs=6))
    found = tune(tuning, tmp_path / "out")
    assert found.metric.name == "answer_f1" and found.score is not None and found.score > 90
    predict(tmp_path / "out", files[1], tmp_path / "p.jsonl", labelled=True)
    said = {line["id"]: line for line in lines(tmp_path / "p.jsonl")}
    empty = [line for line in said.values() if line["answer"] == ""]
    assert empty and all(line["no_answer"] > 0 for line in empty)
    new = json.loads(files[1].read_text())  # as nobody has answered them yet
    asked = [question for article in new["data"] for part in article["paragraphs"] for question in part["qas"]]
    for number, question in enumerate(asked):
        question.pop("is_impossible")
        question["answers"] = []
        if number % 2:
            question.pop("answers")
    (tmp_path / "new.json").write_text(json.dumps(new))
    good("predict", tmp_path / "out", "--data", tmp_path / "new.json", "--out", tmp_path / "new.jsonl")
    assert lines(tmp_path / "new.jsonl") == lines(tmp_path / "p.jsonl")
    done = run("predict", tmp_path / "out", "--data", tmp_path / "new.json", "--out", tmp_path / "x", "--score")
    assert done.status == 1 and "question 'q0': there is no answer, and is_impossible is not true" in done.err


def test_the_best_span_is_in_the_context_and_no_longer_than_may_be(folder: Path, tmp_path: Path) -> None:
    from weft.recipes.tuning.questions import Asked

    file = questions(tmp_path / "q.json", 1, 3)
    prepared = prepare(Tuning(folder, "answer", file, file, context=32), print)
    rows = prepared.train
    assert isinstance(rows, Asked) and not rows.objective.impossible
    scores = [torch.zeros(len(window.ids), 2).numpy() for window in rows.windows]
    window = rows.windows[0]
    for row in scores:
        row[1] = 9  # in the question: no answer
        row[window.first + 2, 0] = row[window.first + 1, 1] = 5  # the end before the start
        row[window.first + 3, 1] = 4
    text = window.text(window.first + 2, window.first + 3)
    assert rows.found(scores)[0].text == text and rows.found(scores)[0].score == 9
    short = Asked(rows.questions, rows.windows, replace(rows.objective, longest=1), Bytes())
    assert short.found(scores)[0].score == 5


def test_the_right_one_of_several_is_chosen(folder: Path, tmp_path: Path) -> None:
    def choice(draw: random.Random) -> tuple[str, ...]:
        right, texts = draw.randrange(3), [draw.choice(BAD) for _ in range(3)]
        texts[right] = draw.choice(GOOD)
        return "the film was", *(f"{word} music" for word in texts), "ABC"[right]

    files = [table(tmp_path / f"{seed}.tsv", 80, seed, choice, "text\ta\tb\tc\tlabel") for seed in (1, 2)]
    words = [word for name in "abc" for word in ("--choice", name)]
    named = ("--data", files[0], "--dev", files[1], *words)
    found = good("tune", folder, "--task", "choose", *named, *QUICK, "--epochs", 4, "--out", tmp_path / "out", "--json")
    assert found.data["scores"] == [1.0]
    good("predict", tmp_path / "out", "--data", files[1], "--out", tmp_path / "p.jsonl")
    gold = ["ABC".index(line[-1]) for line in files[1].read_text().splitlines()[1:]]
    assert [line["choice"] for line in lines(tmp_path / "p.jsonl")] == gold


def test_choices_are_counted_as_their_labels_are(folder: Path, tmp_path: Path) -> None:
    def choice(draw: random.Random) -> tuple[str, ...]:
        right = draw.randrange(2)
        return "the film was", *(draw.choice(GOOD if place == right else BAD) for place in range(2)), str(1 + right)

    file = table(tmp_path / "a.tsv", 40, 1, choice, "text\ta\tb\tlabel")
    words = ("--data", file, "--dev", file, "--choice", "a", "--choice", "b", *QUICK, "--epochs", 6)
    done = run("tune", folder, "--task", "choose", *words, "--out", tmp_path / "out")
    assert done.status == 1 and "is '2': a number from 0 to 1 (--first 1: they count from 1)" in done.err
    good("tune", folder, "--task", "choose", *words, "--first", 1, "--out", tmp_path / "out")
    told = good("predict", tmp_path / "out", "--data", file, "--out", tmp_path / "p.jsonl", "--score", "--json").data
    gold = [int(line[-1]) for line in file.read_text().splitlines()[1:]]
    right = [line["choice"] == label for line, label in zip(lines(tmp_path / "p.jsonl"), gold, strict=True)]
    assert told["score"]["value"] == sum(right) / len(right) > 0.6


@pytest.mark.parametrize("family, pooling", [("gpt2", None), ("llama", "mean")])
def test_a_decoder_is_tuned_by_its_last_token(
    family: str, pooling: Any, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    blueprint = Blueprint.of(family, "debug", vocab=Bytes().vocab, context=96)
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "model")
    settings = replace(FAST, epochs=1, rate=1e-3)
    tuning = Tuning(tmp_path / "model", "classify", *moods, NUMBERED, pooling=pooling, train=settings)
    found = tune(tuning, tmp_path / "out")
    assert read_tuned(tmp_path / "out").description.objective == Classify(
        dropout=0.0, pooling=pooling or "last", classes=2
    )
    again = predict(tmp_path / "out", moods[1], tmp_path / "p.jsonl", labelled=True)
    assert again.score is not None and again.score.value == found.score
    assert weft.load(tmp_path / "out").generate("a", tokens=2)


def test_a_decoder_also_learns_its_own_text(moods: tuple[Path, Path], tmp_path: Path) -> None:
    """GPT-1's way: both terms by their own means, the second weighed; the model's head trains with the rest."""
    blueprint = Blueprint.of("gpt2", "debug", vocab=Bytes().vocab, context=96, tied=False)
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "model")
    settings = replace(FAST, epochs=0, steps=20, rate=1e-3)
    tuning = Tuning(tmp_path / "model", "classify", *moods, NUMBERED, language=0.5, train=settings)
    prepared = prepare(tuning, print)
    objective, module = prepared.description.objective, built(prepared, 0, "cpu").eval()
    batch = prepared.train.data.batch(places(0, range(6)))
    losses = objective.losses(module, batch)
    assert set(losses) == {"loss", "language"} and losses["language"].weight == 0.5
    x, _ = module.model(batch.tokens, layout(batch))
    logs, nats, count = module.model.logits(x).log_softmax(-1).detach(), 0.0, 0
    for row, length in enumerate([int(n) for n in (batch.segments > 0).sum(1)]):
        nats -= sum(float(logs[row, place - 1, batch.tokens[row, place]]) for place in range(1, length))
        count += length - 1
    assert losses["language"].sum.item() == pytest.approx(nats, rel=1e-4) and losses["language"].count == count
    tune(tuning, tmp_path / "out")
    log = [line for line in read(tmp_path / "out" / "seed-0" / "log.jsonl") if "loss" in line]
    assert log[-1]["terms"]["language"] < log[0]["terms"]["language"] - 0.5
    before, after = (weft.load(path).module.state_dict() for path in (tmp_path / "model", tmp_path / "out"))
    assert not before["head.weight"].equal(after["head.weight"])
    assert read_tuned(tmp_path / "out").description.objective.language == 0.5


def test_windows_over_long_texts_begin_a_stride_apart(folder: Path, tmp_path: Path) -> None:
    file = questions(tmp_path / "q.json", 3, 1)
    data = json.loads(file.read_text())
    for paragraph in data["data"]:
        paragraph["paragraphs"][0]["context"] += " the film" * 20
    file.write_text(json.dumps(data))
    many, few = (
        len(prepare(Tuning(folder, "answer", file, file, context=32, stride=stride), print).train.data)
        for stride in (4, 16)
    )
    assert many > few > 3
    with pytest.raises(
        ValueError, match="stride says nothing to the task tag: leave it out; of these it hears every-piece"
    ):
        prepare(Tuning(folder, "tag", tagged(tmp_path / "a.conll", 4, 1, entity), file, stride=4), print)


def test_only_a_decoder_and_a_row_have_text_to_learn(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="language=0.5 asks for each row's next tokens, which an encoder sees"):
        tune(Tuning(folder, "classify", *moods, NUMBERED, language=0.5), tmp_path / "out")
    file = tagged(tmp_path / "a.conll", 4, 1, entity)
    with pytest.raises(ValueError, match="language says nothing to the task tag"):
        tune(Tuning(folder, "tag", file, file, language=0.5), tmp_path / "out")


# -------------------------------------------------------------------------------------------------------- the reference


def published(folder: Path) -> Path:
    """A random BERT that transformers wrote, with a tokenizer beside it; no dropout."""
    transformers = pytest.importorskip("transformers")
    from tuned import wordpieces

    tokenizer = wordpieces()
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab, hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=50,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


ASKED: dict[str, Any] = {
    "classify": lambda batch: {"labels": batch.asked["label"]},
    "regress": lambda batch: {"labels": batch.asked["label"]},
    "tag": lambda batch: {"labels": batch.labels},
    "answer": lambda batch: {"start_positions": batch.asked["start"], "end_positions": batch.asked["stop"]},
    "choose": lambda batch: {"labels": batch.asked["label"][::2]},
}


def their_losses(theirs: Any, data: Padded, settings: TrainSettings, task: str) -> list[float]:
    """A plain loop of torch and transformers over the same rows."""
    plain = [p for name, p in theirs.named_parameters() if "bias" in name or "LayerNorm" in name]
    others = [p for name, p in theirs.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
    optimiser = torch.optim.AdamW(
        [{"params": others, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.rate, betas=(settings.beta1, settings.beta2), eps=1e-8,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: (settings.steps - step) / settings.steps)
    theirs.train()
    found = []
    for step in range(settings.steps):
        numbers = range(step * settings.batch, (step + 1) * settings.batch)
        batch = data.batch([data.place(number, settings.seed) for number in numbers])
        mask = torch.ones_like(batch.tokens) if batch.segments is None else batch.segments
        rows = [batch.tokens, mask, batch.types]
        if task == "choose":
            rows = [tensor.view(settings.batch, 2, -1) for tensor in rows if tensor is not None]  # [B, 2, T]
        named = dict(zip(("input_ids", "attention_mask", "token_type_ids"), rows, strict=True))
        loss = theirs(**named, **ASKED[task](batch)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        found.append(loss.item())
    return found


def example(task: str, path: Path) -> tuple[Path, Columns]:
    """A file to train on, and its columns."""
    if task == "tag":
        return tagged(path, 60, 1, entity), Columns()
    if task == "answer":
        return questions(path, 40, 1, impossible=True), Columns()
    draw = random.Random(1)
    rows = [(mood(draw)[0], mood(draw)[0], str(draw.randint(0, 1))) for _ in range(60)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    path = path.rename(path.with_suffix(".tsv"))
    return path, Columns("1", "2" if task != "choose" else None, "3", ("2", "1") if task == "choose" else (), False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "task, kind, head",
    [
        ("classify", "BertForSequenceClassification", "classifier"),
        ("regress", "BertForSequenceClassification", "classifier"),
        ("tag", "BertForTokenClassification", "classifier"),
        ("answer", "BertForQuestionAnswering", "qa_outputs"),
        ("choose", "BertForMultipleChoice", "classifier"),
    ],
)
def test_the_losses_are_those_of_a_plain_loop_of_transformers(task: str, kind: str, head: str, tmp_path: Path) -> None:
    """Of questions a row at a time: the reference lets padding be an answer, and weft does not."""
    transformers = pytest.importorskip("transformers")
    folder, (file, columns) = published(tmp_path / "bert"), example(task, tmp_path / "data")
    batch = 1 if task == "answer" else 8
    settings = replace(FAST, epochs=0, steps=12, rate=1e-3, warmup=0, batch=batch, seed=5, evaluate_every=12)
    tuning = Tuning(folder, task, file, file, columns, context=40, every_piece=task == "tag", train=settings)
    if task == "regress":
        tuning = replace(tuning, metric="mse")
    prepared = prepare(tuning, print)
    ours = built(prepared, 5, "cpu")
    theirs = getattr(transformers, kind).from_pretrained(folder, num_labels=ours.out.width_out)
    own = theirs.get_submodule(head)
    with torch.no_grad():
        own.weight.copy_(ours.out.weight)
        own.bias.copy_(ours.out.bias)
    assert isinstance(prepared.train.data, Padded)
    losses = their_losses(theirs, prepared.train.data, settings, task)
    tune(tuning, tmp_path / "out")
    found = [line["loss"] for line in read(tmp_path / "out" / "seed-5" / "log.jsonl") if "loss" in line]
    assert len(found) == 12 and found == pytest.approx(losses, abs=1e-4)
    assert max(found) > 0.1  # something was to be learned


# ------------------------------------------------------------------------------------------------------ what is trained


@pytest.mark.parametrize(
    "layers, trained", [(0, set()), (1, {"stack.layers.1", "pooler"}), (None, {"embed", "stack", "pooler"})]
)
def test_only_what_is_asked_for_trains(
    layers: int | None, trained: set[str], folder: Path, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = replace(FAST, epochs=0, steps=3)
    tune(Tuning(folder, "classify", *moods, NUMBERED, layers=layers, train=settings), tmp_path / "out")
    before, after = (weft.load(path).module.state_dict() for path in (folder, tmp_path / "out"))
    for name, tensor in before.items():
        expected = any(name.startswith(f"{part}.") for part in trained)
        same_anyway = name.endswith("attn.branch.k.bias")  # softmax does not feel it
        assert tensor.equal(after[name]) is not expected or same_anyway, name
    kept = tmp_path / "out" / "seed-0" / "checkpoints" / "step-00000003" / "optimiser.safetensors"
    states = {name.rpartition("/")[0] for name in read_tensors(kept)}
    frozen = [name for name in before if not any(name.startswith(f"{part}.") for part in trained)]
    assert "out.weight" in states and not states & {f"model.{name}" for name in frozen}


def test_more_layers_than_there_are_is_refused(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layers=3, and this model has 2 .* head for none"):
        tune(Tuning(folder, "classify", *moods, NUMBERED, layers=3), tmp_path / "out")


def test_heads_that_nobody_asks_are_left_as_they_are(moods: tuple[Path, Path], tmp_path: Path) -> None:
    from tuned import wordpieces

    tokenizer = wordpieces()
    blueprint = Blueprint.of("bert", "debug", vocab=tokenizer.vocab)  # a head for masked tokens, no pooler
    weft.save(Model(blueprint.build(seed=0), blueprint, tokenizer), tmp_path / "model")
    words = ("--data", moods[0], "--dev", moods[1], "--text", 1, "--label", 2, "--no-header", "--set", "train.steps=2")
    done = good(
        "tune", tmp_path / "model", "--task", "classify", *words, *QUICK[:4], *QUICK[5:], "--out", tmp_path / "out"
    )
    assert "the head reads the state of each row's first token" in " ".join(done.err.split())
    before, after = (weft.load(tmp_path / name).module.state_dict() for name in ("model", "out"))
    assert all(before[name].equal(after[name]) for name in before if name.startswith("heads."))
    assert not before["embed.weight"].equal(after["embed.weight"])


# --------------------------------------------------------------------------------------------------- stopping, going on


def test_a_stopped_tuning_goes_on_to_the_same_bits(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    files = ("--data", moods[0], "--dev", moods[1], "--text", 1, "--label", 2, "--no-header", *QUICK)
    words = ("tune", folder, "--task", "classify", *files, "--set", "train.steps=7", "--seeds", 2)
    good(*words, "--out", tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        assert run(*words, "--out", tmp_path / "stopped").status == 130
    assert not (tmp_path / "stopped" / "task.json").exists()
    assert run(*words, "--out", tmp_path / "stopped").status == 1  # it is not empty
    good(*words, "--out", tmp_path / "stopped", "--resume")
    for name in ("model.safetensors", "head.safetensors", "task.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
    other = run(*words, "--longest", 50, "--out", tmp_path / "stopped", "--resume")
    assert other.status == 1 and "makes it another tuning" in other.err


def test_a_run_ends_when_nothing_becomes_better(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    settings = replace(FAST, epochs=30, patience=2)
    found = tune(Tuning(folder, "classify", *moods, NUMBERED, train=settings), tmp_path / "out")
    assert found.score == 1.0 and not found.interrupted
    evaluated = [line for line in read(tmp_path / "out" / "seed-0" / "log.jsonl") if "evaluation" in line]
    accuracies = [line["evaluation"]["accuracy"] for line in evaluated]
    assert len(accuracies) < 30 and accuracies.index(max(accuracies)) == len(accuracies) - 3
    again = tune(Tuning(folder, "classify", *moods, NUMBERED, train=settings), tmp_path / "out", resume=True)
    assert again.scores == found.scores
    with pytest.raises(ValueError, match="patience says something of runs with best alone"):
        replace(TrainSettings(steps=2), patience=1).check()


def test_nothing_foreign_is_replaced(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no tune.json of weft's"):
        tune(Tuning(folder, "classify", *moods, NUMBERED), tmp_path, overwrite=True)
    assert (tmp_path / "config.json").read_text() == "{}"


# ------------------------------------------------------------------------------------------------------ what is refused


def damaged(tuned: Path, tmp_path: Path) -> Path:
    shutil.copytree(tuned, tmp_path / "copy", ignore=shutil.ignore_patterns("seed-*"))
    return tmp_path / "copy"


def test_a_head_that_does_not_fit_is_an_error_that_names_the_tensor(tuned: Path, tmp_path: Path) -> None:
    copy = damaged(tuned, tmp_path)
    head = read_tensors(copy / "head.safetensors")
    wrong: list[tuple[dict[str, torch.Tensor], str]] = [
        ({"out.weight": head["out.weight"].clone()}, r"lacks the tensor 'out.bias', \[2\]"),
        (
            {"out.weight": head["out.weight"].clone(), "out.bias": torch.zeros(3)},
            r"'out.bias' has the shape \[3\], .* \[2\]",
        ),
        ({**{name: t.clone() for name, t in head.items()}, "more": torch.zeros(1)}, "has a tensor 'more'"),
    ]
    for tensors, said in wrong:
        write_tensors(copy / "head.safetensors", tensors)
        with pytest.raises(DamagedFile, match=said):
            read_tuned(copy)
    (copy / "head.safetensors").unlink()
    with pytest.raises(DamagedFile, match=r"head.safetensors is missing"):
        read_tuned(copy)


def test_a_task_that_is_not_understood_is_an_error(tuned: Path, folder: Path, tmp_path: Path) -> None:
    copy = damaged(tuned, tmp_path)
    data = json.loads((copy / "task.json").read_text())
    for change, said in (
        ({"task": "tag"}, "task is 'tag'"),
        ({"more": 1}, "a task has task"),
        ({"reading": {"contxt": 3}}, "contxt"),
    ):
        (copy / "task.json").write_text(json.dumps(data | change))
        with pytest.raises(DamagedFile, match=said):
            read_tuned(copy)
    with pytest.raises(ValueError, match="is no fine-tuned model"):
        predict(folder, "x.tsv", "y.jsonl")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--task", "classfy"), "no task is called 'classfy'; did you mean 'classify'?"),
        (("--metric", "entity_f1"), "'entity_f1' needs tags"),
        (("--metric", "acuracy"), "did you mean 'accuracy'"),
        (("--metric", "pearson"), "recall, weighted_f1, brier, calibration_error, nll"),
        (("--label", 3), "has no column 3"),
        (("--pooling", "max"), "--pooling max: "),
        (("--layers", "some"), "--layers some: all, head"),
        (("--longest", 900), "rows of 900 tokens, and the model places 64"),
        (("--longest", 0), "rows of 0 tokens hold nothing: --longest 128 is usual"),
        (("--labels", "yes,maybe"), "train.tsv, line"),
        (("--set", "model.depth=3"), "write it as train.a=b"),
        (("--set", "train.best=loss"), "choose it by --metric"),
        (("--seeds", 0), "seeds=0"),
        (("--epochs", -1, "--set", "train.steps=3"), "train.epochs=-1.0: the length of a run is above 0"),
        (("--epochs", 0, "--set", "train.steps=3"), "train.epochs=0.0: the length of a run is above 0"),
        (("--set", "train.minutes=-2", "--set", "train.steps=3"), "train.minutes=-2: the length of a run is above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    words: tuple[object, ...], said: str, folder: Path, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    usual = ("--task", "classify", "--data", moods[0], "--dev", moods[1], "--text", 1, "--label", 2, "--no-header")
    done = run("tune", folder, *usual, *QUICK, *words, "--out", tmp_path / "out")
    assert done.status == 1 and said in " ".join(done.err.split()), done.err
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_named_by_file_and_line(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    dev = tmp_path / "dev.tsv"
    for text, said in (
        ("good film\tyes\nbad film\tmaybe\n", r"dev.tsv, line 2: the label 'maybe' is not among"),
        ("good film\tyes\nbad\tfilm\tno\n", r"dev.tsv, line 2: the row has 3 values"),
        ("good film\tyes\nbad film\t\n", r"dev.tsv, line 2: there is no label"),
    ):
        dev.write_text(text)
        with pytest.raises(ValueError, match=said):
            tune(Tuning(folder, "classify", moods[0], dev, NUMBERED), tmp_path / "out")
    with pytest.raises(ValueError, match=r"train.tsv, line 1: '2' is '(yes|no)', not a finite number"):
        tune(Tuning(folder, "regress", *moods, NUMBERED), tmp_path / "out")
    words, train = tmp_path / "dev.conll", tagged(tmp_path / "train.conll", 5, 1, entity)
    for text, said in (
        ("the x O\nanna x B-ORG\n", r"dev.conll, line 2: the label 'B-ORG'"),
        ("the x O\nanna B-PER\n", r"dev.conll, line 2: 2 columns between spaces"),
    ):
        words.write_text(text)
        with pytest.raises(ValueError, match=said):
            tune(Tuning(folder, "tag", train, words), tmp_path / "out")


def test_what_is_cut_and_what_is_never_learned_is_said(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    said = list[str]()
    prepare(Tuning(folder, "classify", *moods, NUMBERED, context=6, labels=("no", "yes", "perhaps")), said.append)
    assert any("were cut at their ends" in text for text in said)
    assert any("has the label 'perhaps': it will never be learned" in text for text in said)


@pytest.mark.parametrize("family", ["rnn", "clip_text", "siglip_text"])
def test_what_is_as_wide_as_two_states_or_pooled_by_ids_is_tuned(
    family: str, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    vocab = {"vocab": 384, "context": 64}
    more = {"clip_text": {"end": Bytes().end, "tasks": ["projection"], "project": 24}, "siglip_text": {"project": 24}}
    blueprint = Blueprint.of(family, "debug", **vocab, **more.get(family, {}))
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), tmp_path / "model")
    settings = replace(FAST, epochs=1)
    found = tune(Tuning(tmp_path / "model", "classify", *moods, NUMBERED, train=settings), tmp_path / "out")
    again = predict(tmp_path / "out", moods[1], tmp_path / "p.jsonl", labelled=True)
    assert again.score is not None and again.score.value == found.score
    paired = Tuning(tmp_path / "model", "classify", *moods, Columns("1", pair="1", label="2", header=False))
    if family == "clip_text":
        with pytest.raises(ValueError, match="pooler reads where the first one ends.*--pooling last"):
            prepare(paired, print)
        paired = replace(paired, pooling="last")
    prepare(paired, print)


def test_a_metric_of_two_classes_is_refused_where_a_model_may_say_three(folder: Path, tmp_path: Path) -> None:
    train, dev = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    train.write_text("good film\tyes\nbad film\tno\na film\tso\n" * 4)
    dev.write_text("good film\tyes\nbad film\tno\n" * 4)
    words = ("--task", "classify", "--data", train, "--dev", dev, "--text", 1, "--label", 2, "--no-header")
    done = run("tune", folder, *words, "--metric", "f1", *QUICK, "--out", tmp_path / "out")
    assert done.status == 1 and not (tmp_path / "out").exists()
    assert "two classes" in done.err and "--metric macro_f1" in " ".join(done.err.split()), done.err


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder–decoder; read it only."""
    place = tmp_path_factory.mktemp("pair") / "model"
    blueprint = Blueprint.of("t5", "debug", vocab=384)
    weft.save(Model(blueprint.build(seed=0), blueprint, Bytes()), place)
    return place


def test_of_an_encoder_decoder_the_encoder_reads(pair: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    settings = replace(FAST, epochs=4)
    found = tune(Tuning(pair, "classify", *moods, NUMBERED, train=settings), tmp_path / "out")
    assert found.score is not None and found.constant is not None and found.score > found.constant + 0.2
    before, after = weft.load(pair).module, read_tuned(tmp_path / "out")
    changed = {
        name.split(".")[0]
        for name, tensor in after.model.module.state_dict().items()
        if not tensor.equal(before.state_dict()[name])
    }
    assert changed == {"embed", "encoder"}  # nobody asks the decoder
    tokens = torch.tensor([[5, 6, 7, 256], [8, 9, 256, 256]])
    inside, head = after.model.module, read_tensors(tmp_path / "out" / "head.safetensors")
    assert isinstance(inside, EncoderDecoder)
    layout = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    states = inside.encode(tokens, Layout(segments=layout)).states
    means = torch.stack([states[0].mean(0), states[1, :3].mean(0)])
    scores = after.module(Batch(tokens, segments=layout))
    assert torch.allclose(scores, means @ head["out.weight"].T + head["out.bias"], atol=1e-5)
    predict(tmp_path / "out", moods[1], tmp_path / "p.jsonl", columns=NUMBERED)
    assert len(lines(tmp_path / "p.jsonl")) == 40


def test_of_an_encoder_decoder_words_are_tagged_and_last_layers_trained(pair: Path, tmp_path: Path) -> None:
    files = [tagged(tmp_path / f"{seed}.conll", 24, seed, speech) for seed in (1, 2)]
    prepared = prepare(Tuning(pair, "tag", *files, layers=1), print)
    module = built(prepared, 0, "cpu")
    training = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert training and all(
        name.startswith(("out.", "model.encoder.layers.1.", "model.encoder.norm")) for name in training
    )
    found = tune(Tuning(pair, "tag", *files, train=replace(FAST, epochs=1)), tmp_path / "out")
    assert found.metric.name == "token_accuracy" and found.score is not None


# ----------------------------------------------------------------------------------------------------- some examples


def test_some_examples_are_of_each_class_in_proportion_and_part_of_more() -> None:
    draw = random.Random(0)
    groups = draw.choices("abcd", weights=(60, 30, 9, 1), k=400)
    sizes = Counter(groups)
    before = set[int]()
    for count in (4, 10, 57, 200, 399, 400):
        chosen = choose_some(groups, count, seed=3)
        assert len(set(chosen)) == count and chosen == sorted(chosen) and before <= set(chosen)
        found = Counter(groups[place] for place in chosen)
        assert set(found) == set(sizes)  # each of the four, also of four examples
        assert all(abs(found[name] - count * sizes[name] / 400) < 2 for name in sizes)
        before = set(chosen)
    assert choose_some(groups, 10, seed=3) == choose_some(groups, 10, seed=3) != choose_some(groups, 10, seed=4)
    for count in (0, 401):
        with pytest.raises(ValueError, match=f"{count} examples of 400: choose at least 1, and no more"):
            choose_some(groups, count, seed=0)


def test_as_many_examples_as_asked_are_learned_from(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    asked = Tuning(folder, "classify", *moods, NUMBERED, examples=12, train=replace(FAST, epochs=1))
    prepared = prepare(asked, print)
    assert len(prepared.train.data) == 12 and len(prepared.dev.data) == 40
    assert sorted(Counter(prepared.train.gold("classes"))) == [0, 1]
    other = prepare(replace(asked, train=replace(FAST, epochs=1, seed=1)), print)
    ids = [[line.ids.tolist() for line in sample] for sample in prepared.train.data.samples]
    assert ids != [[line.ids.tolist() for line in sample] for sample in other.train.data.samples]
    words = ("tune", folder, "--task", "classify", "--data", moods[0], "--dev", moods[1], "--text", 1, "--label", 2)
    out = ("--no-header", *QUICK, "--epochs", 1, "--out", tmp_path / "out")
    assert "there" in run(*words, *out, "--examples", 4000).err
    good(*words, *out, "--examples", 12)
    refused = run(*words, *out, "--examples", 13, "--resume")
    assert refused.status == 1 and "examples was 12" in refused.err and "is 13 now" in refused.err


# ---------------------------------------------------------------------------------------------------------------- parts


def test_rows_are_padded_on_the_right_and_a_sample_may_be_several() -> None:
    def line(*ids: int, label: int) -> Line:
        row = torch.tensor(ids, dtype=torch.int32).numpy()
        return Line(row, row * 0, row + 1, {"label": label, "score": 0.5})

    data = Padded([(line(5, 6, label=0),), (line(7, label=1),), (line(label=1),)], 9)
    batch = data.batch(places(0, [0, 1, 2]))
    assert batch.tokens.tolist() == [[5, 6], [7, 9], [9, 9]] and batch.samples == (0, 1, 2)
    assert batch.labels is not None and batch.labels.tolist() == [[6, 7], [8, IGNORED], [IGNORED, IGNORED]]
    assert batch.segments is not None and batch.segments.tolist() == [[1, 1], [1, 0], [1, 0]]  # the empty one is read
    assert batch.asked["label"].tolist() == [0, 1, 1] and batch.asked["score"].dtype == torch.float32
    assert data.batch(places(0, [0])).segments is None
    assert sorted(data.place(number, 3).sample for number in range(3)) == [0, 1, 2]


def test_every_task_that_is_listed_can_be_tuned_for() -> None:
    assert KINDS.names() == good("list", "--json").data["tasks"] == ["answer", "choose", "classify", "regress", "tag"]
    assert all(kind.learns().title == name for name, kind in KINDS.all().items())
    assert Answer().dropout == 0.0


def test_columns_that_are_not_named_are_those_of_the_tuning() -> None:
    usual = Columns("a", "b", "label", header=False)
    assert Columns("3").over(usual) == Columns("3", "b", "label", header=False)
    assert Columns("c").over(usual) == Columns("c", "b", "label", header=True)
    assert Columns("c", header=True).over(usual) == Columns("c", "b", "label", header=True)


def test_a_header_is_there_or_not_as_it_was_when_tuned(tuned: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    def said(name: str, *words: object) -> list[Any]:
        good("predict", tuned, "--data", tmp_path / name, *words, "--out", tmp_path / "p.jsonl", "--overwrite")
        return lines(tmp_path / "p.jsonl")

    rows = moods[1].read_text()
    (tmp_path / "none.tsv").write_text(rows)
    (tmp_path / "named.tsv").write_text("film\tmood\n" + rows)
    usual = said("none.tsv")
    assert said("none.tsv", "--text", 1) == said("none.tsv", "--no-header") == usual
    assert said("named.tsv", "--text", "film", "--header") == said("named.tsv", "--text", "film") == usual
    done = run("predict", tuned, "--data", tmp_path / "none.tsv", "--choice", "a", "--out", tmp_path / "x")
    heard = "choices says nothing to the task classify: leave it out; of these it hears header, label, pair, text"
    assert done.status == 1 and done.err.strip().endswith(heard)  # pooling and others are of `weft tune` alone


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (
            "answer",
            ("--pooling mean", "--every-piece", "--text 1", "--pair 1", "--label 1", "--choice a", "--no-header"),
        ),
        ("tag", ("--pooling mean", "--pair 1", "--choice a", "--first 1", "--no-header")),
        ("classify", ("--every-piece", "--choice a", "--first 1", "--stride 3")),
        ("regress", ("--every-piece", "--choice a", "--labels a,b")),
        ("choose", ("--every-piece", "--pair 1", "--labels a,b")),
    ],
)
def test_what_a_task_does_not_hear_is_refused(
    task: str, options: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    for option in options:
        words = ("--data", "none", "--dev", "none", *option.split(), "--out", tmp_path / "out")
        done = run("tune", folder, "--task", task, *words)
        name = {"no-header": "header", "choice": "choices"}.get(option.split()[0][2:], option.split()[0][2:])
        assert done.status == 1 and f"{name} says nothing to the task {task}: leave it out" in done.err, done.err


@pytest.mark.usefixtures("slow")
def test_predictions_say_how_far_they_are(tuned: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    done = good("predict", tuned, "--data", moods[1], "--out", tmp_path / "p.jsonl")
    assert "rows: 40 of 40, 6.7 a second" in done.err


def test_a_second_text_is_not_read_where_none_was_learned_from(tuned: Path, moods: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="was tuned on single texts, and reads no second one in '2'"):
        predict(tuned, moods[1], None, columns=Columns(pair="2"))


def test_predictions_are_a_file(tuned: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, and what is written is a file"):
        predict(tuned, moods[1], tmp_path)


def test_a_refused_tuning_leaves_nothing(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layers=9, and this model has 2"):
        tune(Tuning(folder, "classify", *moods, NUMBERED, layers=9, train=FAST), tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_seeds_may_be_added_and_not_taken_away(folder: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    tuning = Tuning(folder, "classify", *moods, NUMBERED, train=replace(FAST, epochs=1), seeds=2)
    tune(tuning, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    for other, said in (
        (replace(tuning, seeds=1), "seeds was 2"),
        (replace(tuning, train=replace(tuning.train, seed=5)), "first seed was 0"),
    ):
        with pytest.raises(ValueError, match=said):
            tune(other, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before


def test_what_is_read_is_not_written_over(tuned: Path, moods: tuple[Path, Path], tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    shutil.copy(moods[1], data)
    (tmp_path / "same").symlink_to(data)
    for out in (data, tmp_path / "same"):
        for words in (("predict", tuned), ("eval", tuned, "--task", "classify")):
            done = run(*words, "--data", data, "--out", out)
            assert done.status == 1 and f"{out} is what is read" in " ".join(done.err.split()), done.err
    assert data.read_bytes() == moods[1].read_bytes()


@pytest.mark.parametrize("words", [("predict",), ("eval", "--task", "classify")], ids=["predict", "eval"])
def test_what_is_there_already_is_not_written_over_unasked(
    words: tuple[str, ...], tuned: Path, moods: tuple[Path, Path], tmp_path: Path
) -> None:
    verb, *more = words
    out = tmp_path / "said.jsonl"
    out.write_text("mine")
    asked = (verb, tuned, *more, "--data", moods[1], "--out", out)
    done = run(*asked)
    assert done.status == 1 and f"{out} is there already: replace it with --overwrite" in done.err
    assert out.read_text() == "mine"
    good(*asked, "--overwrite")
    assert len(lines(out)) == 40


def test_eval_gives_a_tuned_model_its_own_metric(
    tuned: Path, moods: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    _, dev = moods
    out = tmp_path / "said.jsonl"
    found = good("eval", tuned, "--task", "classify", "--data", dev, "--out", out, "--json").data
    told = good("predict", tuned, "--data", dev, "--out", tmp_path / "same.jsonl", "--score", "--json").data
    assert out.read_bytes() == (tmp_path / "same.jsonl").read_bytes()
    assert found["score"] == told["score"]["value"] and found["metric"] == "accuracy" and found["rows"] == 40
    assert found["interval"] == told["interval"] and found["interval"]["low"] <= found["score"]
    assert "accuracy 1 (share equal), 95% interval" in good("eval", tuned, "--task", "classify", "--data", dev).out
    for name, words, message in (
        (tuned, ("--task", "tag"), f"{tuned} is tuned for the task classify, not tag: --task classify"),
        (tuned, ("--task", "classify", "--shots", 4), "--shots is of prompts, and"),
        (tuned, ("--task", "classify", "--overwrite"), "--overwrite is of --out"),
        (folder, ("--task", "sst2"), "an encoder reads whole rows"),
        (folder, ("--task", "classify"), f"{folder} carries no tuned task (there is no {folder / 'task.json'})"),
        (folder, ("--task", "classify"), f"weft tune {folder} --task classify makes a model that does"),
        (folder, ("--task", "classify"), "a prompt task's .toml or .json, or its name: sst2"),
    ):
        done = run("eval", name, *words, "--data", dev)
        assert done.status == 1 and message in done.err, done.err
