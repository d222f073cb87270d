"""Questions about pictures: where they come from, the rows they become, a run on them, and its answers."""

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import good, weft

import weft as library
from weft.batch import IGNORED, Batch, Place
from weft.data import train_tokenizer
from weft.data.signals import Augment, Patches
from weft.data.signals.emoji import as_read, held_back, read_emoji
from weft.data.signals.made import made_pictures
from weft.data.signals.question_rows import Form, QuestionRows
from weft.data.signals.questions import Question, QuestionSettings, of_file, read_questions
from weft.files import DamagedFile
from weft.hub import Model
from weft.models import Blueprint
from weft.models.seeing import Seeing
from weft.objectives import TERM
from weft.objectives.writing import NextToken
from weft.recipes.modalities.question_answers import answers, scored
from weft.recipes.modalities.question_feed import form_of

Image = pytest.importorskip("PIL.Image", reason="pictures are read with pillow")
PROCESSOR = Patches(12, 4, 1)


def rows_of(context: int = 64, **more: Any) -> QuestionRows:
    pixels, _ = made_pictures(4, 12, 1, 0)
    asked = [
        Question(0, "what is this?", "a square", "what"),
        Question(1, "is this a disc?", "yes", "yes/no"),
        Question(2, "is this a cross or another thing?", "no", "yes/no"),
        Question(3, "what?", "stripes", "what"),
    ]
    tokenizer = train_tokenizer("bpe", [question.text for question in asked], 300)
    form = Form(tokenizer, PROCESSOR, token=tokenizer.vocab, states=9, context=context)
    return QuestionRows(pixels, asked, replace(form, **more.pop("form", {})), **more)


def batch_of(rows: QuestionRows, *samples: int, epoch: int = 0) -> Batch:
    return rows.batch([Place(epoch, sample) for sample in samples])


def model_for(rows: QuestionRows) -> Seeing:
    ids = rows.form.token
    module = Blueprint.of("llava", "debug").change("text.vocab", str(ids + 1)).change("token", str(ids)).build(seed=1)
    assert isinstance(module, Seeing)
    return module


def test_the_answer_and_its_end_are_asked_for_and_nothing_else() -> None:
    rows = rows_of()
    batch, tokenizer = batch_of(rows, 0, 1, 2), rows.form.tokenizer
    assert batch.labels is not None and batch.segments is not None and batch.source is not None
    for row, question in enumerate(rows.questions[:3]):
        real = batch.segments[row] > 0
        tokens, labels = batch.tokens[row][real].tolist(), batch.labels[row][real].tolist()
        assert tokens[:10] == [tokenizer.begin, *[rows.form.token] * 9]
        asked = [label for label in labels if label != IGNORED]
        assert asked[-1] == tokenizer.end and tokenizer.decode(asked[:-1]) == question.answer
        first = labels.index(asked[0])
        assert tokens[first] == tokenizer.end and tokenizer.decode(tokens[10:first]) == question.text
        assert tokens[first + 1 :] == asked[:-1]
        assert (batch.labels[row][~real] == IGNORED).all()
    assert batch.source.tokens.shape == (3, 9, 16)


def test_a_row_is_a_function_of_seed_epoch_and_sample() -> None:
    rows = rows_of(augment=Augment(shift=3), seed=2)
    together, alone, later = batch_of(rows, 1, 2), batch_of(rows, 2), batch_of(rows, 2, epoch=1)
    assert together.source and alone.source and later.source
    assert torch.equal(together.source.tokens[1], alone.source.tokens[0])
    assert not torch.equal(later.source.tokens, alone.source.tokens) and torch.equal(later.tokens, alone.tokens)


def test_who_is_blind_sees_the_same_in_every_picture() -> None:
    source = batch_of(rows_of(form={"blind": True}), 0, 1).source
    assert source is not None and not source.tokens.any()


def test_questions_that_are_too_long_are_counted_and_left_out() -> None:
    whole = rows_of()
    short = rows_of(context=min(len(prompt) + len(answer) for prompt, answer in whole.ids))
    assert 0 < len(short) < 4 and short.dropped == 4 - len(short)
    with pytest.raises(ValueError, match="none of 4 questions fits into 12 tokens, of which a picture takes 9"):
        rows_of(context=12)


def test_parts_of_a_batch_have_the_loss_and_the_gradient_of_the_whole() -> None:
    """T6, and T7: what is not asked for adds nothing."""
    rows, objective = rows_of(), NextToken()
    module = model_for(rows)

    def gradient(*batches: Batch) -> tuple[torch.Tensor, ...]:
        losses = [objective.losses(module, batch)[TERM] for batch in batches]
        assert [loss.count for loss in losses] == [objective.counts(batch)[TERM] for batch in batches]
        total = sum(loss.sum for loss in losses) / sum(loss.count for loss in losses)
        assert isinstance(total, torch.Tensor)
        weights = (module.get_parameter("embed.weight"), module.get_parameter("tower.embed.lift.weight"))
        return total.detach(), *torch.autograd.grad(total, weights)

    whole, nothing = gradient(batch_of(rows, 0, 1, 2, 3)), batch_of(rows, 2)
    assert nothing.labels is not None
    nothing = replace(nothing, labels=torch.full_like(nothing.labels, IGNORED))
    for parts in ((batch_of(rows, 0, 1, 2), batch_of(rows, 3)), (batch_of(rows, 0, 1, 2, 3), nothing)):
        for one, other in zip(gradient(*parts), whole, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_answers_are_the_same_alone_and_together() -> None:
    rows = rows_of()
    module = model_for(rows)
    together = answers(module, rows, longest=5)
    for number, question in enumerate(rows.questions):
        assert answers(module, QuestionRows(rows.pixels, [question], rows.form), longest=5) == [together[number]]
    found = scored(rows.questions, ["the square", "no", "no", ""])
    assert found.score is not None and found.score.value == 50.0  # articles do not count
    assert {part.name: (part.examples, part.score.value) for part in found.parts} == {
        "what": (2, 50.0),
        "yes/no": (2, 50.0),
    }


# ---------------------------------------------------------------- where they come from


def emoji(folder: Path, *, array: bool = True) -> Path:
    """Captioned pictures, as a folder."""
    folder.mkdir(parents=True)
    pixels, labels = made_pictures(40, 12, 3, 0)
    groups = ("Signs", "Signs", "Plants", "Plants", "Plants")
    lines = ["file\tcaption\tgroup\tsubgroup"]
    for number, label in enumerate(labels.tolist()):
        caption = ("man", "woman")[number % 2] + f": thing {number // 2}"
        lines.append(f"{number}.png\t{caption}\t{groups[label]}\tkind-{label}")
        if not array:
            Image.fromarray(pixels[number]).save(folder / f"{number}.png")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    if array:
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        (folder / "train_12.npy.gz").write_bytes(gzip.compress(buffer.getvalue()))
    return folder


def test_captioned_pictures_are_asked_about_and_twins_stay_together(tmp_path: Path) -> None:
    folder, processor = emoji(tmp_path / "one"), Patches(12, 4, 3)
    found = read_questions(QuestionSettings(paths=(str(folder),), held_out=0.3), processor)
    assert found.held is not None
    sides: dict[int, set[bool]] = {}
    for question, held in zip(found.questions, found.held.tolist(), strict=True):
        sides.setdefault(question.picture, set()).add(held)
        if question.kind == "group":
            assert question.answer in ("signs", "plants")
    assert all(len(side) == 1 for side in sides.values())
    assert all(sides[number] == sides[number + 1] for number in range(0, 40, 2))
    said = [question.answer for question in found.questions if question.kind == "yes/no"]
    assert said.count("yes") == said.count("no") == 80
    truth = {number: f"kind {number % 5}" for number in range(40)}
    for question in found.questions:
        if question.kind == "yes/no":
            assert (question.text == f"is this a {truth[question.picture]}?") == (question.answer == "yes")
    files = read_questions(
        QuestionSettings(paths=(str(emoji(tmp_path / "two", array=False)),), held_out=0.3), processor
    )
    np.testing.assert_array_equal(files.pixels, found.pixels)
    assert files.questions == found.questions
    some = read_questions(QuestionSettings(paths=(str(folder),), held_out=0.3, kinds=("group",)), processor)
    assert {question.kind for question in some.questions} == {"group"} and len(some.questions) == 40


def test_what_is_held_out_hangs_on_seed_and_caption_alone() -> None:
    captions = [f"thing {number}" for number in range(500)]
    held = held_back(captions, 0.1, 0)
    assert held.sum() == 50 and (held_back(captions[::-1], 0.1, 0)[::-1] == held).all()
    assert (held_back(captions, 0.1, 1) != held).any()


def test_grey_and_coloured_pictures_become_what_is_read() -> None:
    grey, coloured = made_pictures(2, 12, 1, 0)[0], made_pictures(2, 12, 3, 0)[0]
    spread = as_read(grey, Patches(12, 4, 3))
    assert spread.shape == (2, 12, 12, 3) and (spread == grey).all()
    one = as_read(coloured, PROCESSOR)
    np.testing.assert_allclose(one[..., 0], coloured.mean(axis=-1), atol=0.51)


@pytest.mark.parametrize(
    ("said", "array"),
    [
        ("float32", np.zeros((40, 12, 12, 3), np.float32)),
        ("3 pictures and .*train.tsv 40 rows", np.zeros((3, 12, 12, 3), np.uint8)),
        (r"uint8 .40, 12, 12\b", np.zeros((40, 12, 12), np.uint8)),
        ("no whole array", b"text"),
        ("has 5", b""),
    ],
)
def test_an_array_of_other_things_is_named(said: str, array: Any, tmp_path: Path) -> None:
    folder = emoji(tmp_path / "one")
    path, buffer = folder / "train_12.npy.gz", io.BytesIO()
    if isinstance(array, np.ndarray):
        np.save(buffer, array)
        data = buffer.getvalue()
    else:
        whole = gzip.decompress(path.read_bytes())
        data = array or whole[: len(whole) - 40 * 12 * 12 * 3 + 5]
    path.write_bytes(gzip.compress(data))
    with pytest.raises(ValueError, match=said) as error:
        read_emoji(folder, Patches(12, 4, 3))
    assert "train_12.npy.gz" in str(error.value)


def questions(folder: Path, lines: list[dict[str, Any]] | str, name: str = "questions.jsonl") -> Path:
    """A file of questions about 1.png and 2.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(made_pictures(2, 20, 3, 0)[0], start=1):
        Image.fromarray(picture).save(folder / f"{number}.png")
    text = lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines)
    (folder / name).write_text(text)
    return folder / name


def test_a_file_of_questions_is_read_in_each_of_its_forms(tmp_path: Path) -> None:
    one = {"image": "1.png", "question": "what?", "answer": "square"}
    whole = of_file(questions(tmp_path, [one, {**one, "image": "2.png"}, {**one, "image": "./1.png"}]), PROCESSOR)
    assert len(whole.pixels) == 2 and [question.picture for question in whole.questions] == [0, 1, 0]
    table = questions(tmp_path, "image\tquestion\tkind\n1.png\twhat?\teasy\n", "dev.tsv")
    other = of_file(table, PROCESSOR)
    assert other.questions == (Question(0, "what?", None, "easy"),) and other.held is not None and other.held.all()
    np.testing.assert_array_equal(other.pixels[0], whole.pixels[0])


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("line 2: there is no file", [{"image": "1.png", "question": "a"}, {"image": "gone.png", "question": "a"}]),
        ("line 1: an image is the name", [{"image": 3, "question": "a"}]),
        ("line 1: an image is the name", [{"image": "1.png", "question": " "}]),
        ("no column 'question'", [{"image": "1.png", "asked": "a"}]),
        ("line 2", '{"image": "1.png", "question": "a"}\nno json\n'),
        ("line 1.*no picture", [{"image": "questions.jsonl", "question": "a"}]),
        ("no rows", ""),
    ],
)
def test_bad_questions_are_named_by_file_and_line(said: str, lines: Any, tmp_path: Path) -> None:
    path = questions(tmp_path, lines)
    with pytest.raises((ValueError, DamagedFile), match=said) as error:
        of_file(path, PROCESSOR)
    assert "questions.jsonl" in str(error.value)


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("name some", QuestionSettings()),
        ("held_out=0", QuestionSettings(source="made_questions", held_out=0)),
        ("kind 'who'; there are what, yes/no", QuestionSettings(source="made_questions", kinds=("who",))),
        ("no file", QuestionSettings(paths=("gone.jsonl",))),
    ],
)
def test_settings_that_give_no_questions_are_refused(said: str, settings: QuestionSettings) -> None:
    with pytest.raises(ValueError, match=said):
        read_questions(settings, PROCESSOR)


# ---------------------------------------------------------------- a run


def test_a_run_on_questions_trains_resumes_and_answers(tmp_path: Path) -> None:
    data = emoji(tmp_path / "emoji")
    words = ["train", "emoji_llava", "--debug", "--data", data, "--quiet", "--set", "train.checkpoint_every=2"]
    words += ["--set", "data.held_out=0.3", "--set", "model.image.channels=3"]
    words += ["--set", "train.steps=4", "--set", "train.precision=fp32", "--set", "train.kernel=matmul"]
    whole, again = tmp_path / "whole", tmp_path / "again"
    assert "held-out exact match group" in good(*words, "--out", whole).out
    good(*words, "--out", again)
    for path in sorted(sorted((again / "checkpoints").iterdir())[-1].rglob("*"), reverse=True):
        path.unlink()
    sorted((again / "checkpoints").iterdir())[-1].rmdir()
    good(*words, "--out", again, "--resume")
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    scores = good("eval", whole, "--data", data, "--json").data
    assert set(scores["parts"]) == {"what", "group", "subgroup", "yes/no"}
    report = json.loads((whole / "report.json").read_text())["metrics"]
    assert report["exact_match"]["value"] == scores["exact_match"]
    assert "yes/no: " in good("eval", whole, "--data", data).out
    asked = questions(tmp_path / "mine", [{"image": f"{n}.png", "question": "which group?"} for n in (1, 2, 1)])
    good("predict", whole, "--data", asked, "--out", tmp_path / "said.jsonl")
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [line["image"] for line in said] == ["1.png", "2.png", "1.png"] and said[0] == said[2]
    assert "no answer to be scored by" in weft("predict", whole, "--data", asked, "--out", "x.jsonl", "--score").err
    assert "weft predict" in weft("generate", whole, "--prompt", "which group?", "--out", tmp_path / "x").err
    library.save(library.load(whole), tmp_path / "saved")
    assert library.load(tmp_path / "saved").reads is not None


def test_a_model_goes_on_with_its_own_words_and_pixels(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    short = ("--quiet", "--set", "train.steps=2", "--set", "train.batch=4")
    good("train", "llava", "--debug", *short, "--out", first)
    good("train", first, "--debug", *short, "--out", second)
    for name in ("tokenizer.json", "processor.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("size", ["debug", "small"])
def test_a_picture_has_as_many_places_as_its_tower_makes_states(size: str, tmp_path: Path) -> None:
    model = Blueprint.of("llava", size)
    image = model.config.image.config
    processor = Patches(image.image, image.patch, image.channels)
    pixels, _ = made_pictures(2, image.image, image.channels, 0)
    form = form_of(model, rows_of().form.tokenizer, processor, blind=False)
    module = model.build(seed=0)
    assert isinstance(module, Seeing)
    assert module.look(torch.from_numpy(processor.rows(pixels))).shape[1] == form.states
    library.save(Model(module, model), tmp_path)
    assert library.load(tmp_path).blueprint == model
    with pytest.raises(ValueError, match="the processor cuts 6 x 6"):
        form_of(model, form.tokenizer, Patches(6, 3), blind=False)
