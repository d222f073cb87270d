"""What is held out: one rule for files' names, one for things' own names, and what `weft eval` makes of either."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import good, weft
from PIL import Image

from weft.data.captions import CaptionSettings, open_captions, prepare_captions
from weft.data.names import Side, side_above, side_of
from weft.data.sides import by_name, check_both, digest, of_part, way_out
from weft.data.signals import Patches, SignalSettings, prepare_signals
from weft.data.signals.control import named as episodes_of
from weft.data.signals.episodes import Episode, write_episodes
from weft.data.signals.given import given_pictures
from weft.data.signals.made import SHAPES, made_pictures
from weft.data.signals.music import write_midi
from weft.data.signals.notes import Note, Piece
from weft.data.signals.prepare import class_files
from weft.data.signals.prepare import pictures as read_pictures
from weft.data.signals.prepare_speech import read_spoken
from weft.data.signals.questions import QuestionSettings, of_path, read_questions
from weft.data.signals.recordings import SOUND_SOURCES, Recording
from weft.data.signals.scores import MusicSettings, prepare_music, read_pieces
from weft.data.signals.speech import SpeechSettings
from weft.data.signals.task_samples import TaskSettings
from weft.data.signals.tasks import samples_of
from weft.models import Blueprint
from weft.models.unified import Task
from weft.recipes.folder import Own
from weft.recipes.modalities.questions import given_questions
from weft.recipes.modalities.speech_predict import _scored, source_of
from weft.recipes.modalities.tasks import given_samples

TRAIN, HELD_OUT, LEFT_OUT = Side.TRAIN, Side.HELD_OUT, Side.LEFT_OUT
PROCESSOR = Patches(12, 4, 1)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("train-images-idx3-ubyte.gz", TRAIN),
        ("t10k-images-idx3-ubyte", HELD_OUT),
        ("dev-labels-idx1-ubyte.gz", HELD_OUT),
        ("test-images-idx3-ubyte.gz", LEFT_OUT),
        ("wiki/val/01.txt", HELD_OUT),
        ("dev.npz", HELD_OUT),
        ("test_questions.jsonl", LEFT_OUT),
        ("train-00000-of-00001.parquet", TRAIN),
        ("valid", HELD_OUT),  # a part of a file of chorales
        ("train-and-test.tsv", None),
        ("latest.tsv", None),
        ("train.py", None),
    ],
)
def test_a_files_name_says_what_it_is_for(name: str, side: Side | None) -> None:
    assert side_of(name) == side


def test_what_names_itself_is_placed_by_its_folders_alone() -> None:
    assert side_above("this_is_a_test.wav") is None and side_above("talks/test.wav") is None
    assert side_above("dev/a/test.wav") == HELD_OUT and side_above("2004/test/01.mid") == LEFT_OUT
    assert side_above("train/hello_1.wav") == TRAIN and side_above("val/01.midi") == HELD_OUT


# ---------------------------------------------------------------- made folders, whose names say nothing


def classes(folder: Path, count: int = 60) -> Path:
    """A folder of pictures for each class."""
    pixels, labels = made_pictures(count, 12, 1, 5)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / SHAPES[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(path)
    return folder


def captioned(folder: Path) -> Path:
    for path in classes(folder).rglob("*.png"):
        path.with_suffix(".txt").write_text(f"number {path.stem}, a {path.parent.name}")
    return folder


def sounds(folder: Path) -> Path:
    soundfile = pytest.importorskip("soundfile")
    folder.mkdir(parents=True)
    for number in range(40):
        name = f"{('yes', 'no')[number % 2]}_{number}.wav"
        soundfile.write(folder / name, 0.1 * np.sin(np.arange(4000) / (2 + number)), 8000)
    return folder


def midi(folder: Path, first: int = 60) -> Path:
    pytest.importorskip("symusic")
    folder.mkdir(parents=True)
    for number in range(30):
        notes = tuple(Note(4 * at, first + (at + number) % 5, 4 * at + 4, 0) for at in range(4))
        write_midi(Piece(notes, 16, 4), folder / f"{number}.mid")
    return folder


def episodes(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    folder.mkdir(parents=True)
    made = [
        Episode(draw.normal(size=(6, 2)).astype(np.float32), np.ones((6, 1), np.float32) * at, draw.normal(size=6))
        for at in range(40)
    ]
    write_episodes(folder / "played.npz", made)
    return folder


def table(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = "\n".join(f"{np.sin(at / 3)},{np.cos(at / 5)}" for at in range(90))
    (folder / "some.csv").write_text(f"a,b\n{rows}\n")
    return folder / "some.csv"


KINDS = {
    "pictures": ("vit", classes, ("model.channels=1",)),
    "pixels": ("imagegpt", classes, ("data.by_class=true", "model.context=18")),
    "questions": ("llava", classes, ()),
    "tasks": ("unit", classes, ()),
    "captions": ("clip", captioned, ()),
    "sounds": ("conformer", sounds, ("data.rate=8000",)),
    "music": ("music", midi, ("data.voices=1",)),
    "episodes": ("decision_transformer", episodes, ()),
    "series": ("series", table, ()),
}


def counted(account: dict) -> tuple[int, int]:
    """Trained on, and held out, as a run's report says it."""
    if "tasks" in account:
        account = next(iter(account["tasks"].values()))
    names = ("questions", "pieces", "sounds", "episodes", "samples")
    return tuple(account["rows"] if "columns" in account else next(account[name] for name in names if name in account))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_scored_on_what_it_held_out_of_its_own_data(kind: str, tmp_path: Path) -> None:
    family, make, changes = KINDS[kind]
    data, run = make(tmp_path / "data"), tmp_path / "run"
    named = f"shape={data}" if kind == "tasks" else str(data)
    sets = [word for change in ("train.steps=1", "train.kernel=sdpa", *changes) for word in ("--set", change)]
    good("train", family, "--debug", "--quiet", "--data", named, "--out", run, *sets)
    train, held = counted(json.loads((run / "report.json").read_text())["data"])
    done = good("eval", run, "--data", named, "--json")
    assert done.data["examples"] == held and train > held > 0
    said = " ".join(done.err.split())
    assert f"asked are the {held:,} of {train + held:,}" in said and "flatters" not in said
    if kind not in ("series", "music"):  # which are asked of every row, and of every piece
        good("predict", run, "--data", named, "--out", tmp_path / "all.jsonl")
        assert len((tmp_path / "all.jsonl").read_text().splitlines()) == train + held
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(told | {"split": ["of what it was before"]}))
    done = good("eval", run, "--data", named, "--json")
    assert done.data["examples"] >= train + held - 1 and "flatters" in done.err  # nothing is before a series' first row


def test_what_was_held_out_is_known_by_all_that_there_was() -> None:
    names, held = ["a", "b", "c"], np.array([False, True, False])
    own = Own(SignalSettings(), 0, (digest(names, held),))
    assert own.still(held, names).tolist() == held.tolist()
    assert own.still(held[::-1], ["c", "b", "a"]).tolist() == held[::-1].tolist()
    more = own.still(np.append(held, False), [*names, "test/d"], (None, None, None, LEFT_OUT))
    assert more.tolist() == [False, True, False, False]  # a test set, laid beside it since
    assert not own.still(np.append(held, False), [*names, "d"]).any()
    assert not own.still(np.array([True, False, False]), names).any()


def test_a_test_set_among_a_runs_own_is_asked_whole() -> None:
    held, said, parts = np.array([False, True, False, False]), (None, None, LEFT_OUT, LEFT_OUT), ["ab", "cd"]
    assert of_part(held, said, parts, 0, "letters") == (["b"], True)
    assert of_part(held, said, parts, 1, "letters") == (["c", "d"], True)
    assert of_part(np.zeros(4, bool), said, parts, 1, "letters") == (
        ["c", "d"],
        False,
    )  # nobody knows what was left out
    assert of_part(held, (None,) * 4, parts, 1, "letters") == (["c", "d"], False)


def test_a_file_of_questions_among_a_runs_own_is_asked_as_it_was_used(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(tmp_path / "1.png")
    rows = "".join(json.dumps({"image": "1.png", "question": f"{at}?", "answer": "a"}) + "\n" for at in range(9))
    paths = [tmp_path / f"{name}.jsonl" for name in ("train", "dev", "test")]
    for path in paths:
        path.write_text(rows)
    settings = QuestionSettings(paths=tuple(map(str, paths)))
    found = read_questions(settings, PROCESSOR)
    assert found.held is not None and found.held.sum() == 9
    for number, apart in enumerate((False, True, True)):
        own = Own(settings, number, (digest(found.called(), found.held),))
        asked = given_questions(paths[number], settings, PROCESSOR, own=own, labelled=True)
        assert (len(asked[0].questions), asked[1]) == (9, apart)


def test_what_a_song_is_called_says_nothing_of_its_side(tmp_path: Path) -> None:
    folder = midi(tmp_path / "songs")
    for number, name in enumerate(("take_the_a_train", "test_drive", "val_doonican", "val/blues")):
        (folder / "val").mkdir(exist_ok=True)
        (folder / f"{number}.mid").rename(folder / f"{name}.mid")
    found = {one.name: one.side for one in read_pieces(folder, MusicSettings(voices=1).notation())}
    assert {name for name, side in found.items() if side is not None} == {"val/blues.mid"}
    (alone,) = read_pieces(folder / "test_drive.mid", MusicSettings(voices=1).notation())
    assert alone.name == "test_drive.mid" and alone.side is None  # however its path is spelt


def test_hidden_files_are_no_data(tmp_path: Path) -> None:
    episodes(tmp_path / "episodes")
    captioned(tmp_path / "captioned")
    rows = [f"{path.relative_to(tmp_path / 'captioned')}\t{path.stem}" for path in tmp_path.rglob("captioned/*/*.png")]
    (tmp_path / "captioned" / "all.tsv").write_text("\n".join(["image\ttext", *rows]))
    for name in ("episodes/._played.npz", "captioned/._all.tsv"):
        (tmp_path / name).write_bytes(b"\0")
    assert len(episodes_of(tmp_path / "episodes")) == 40
    captions = CaptionSettings(paths=(str(tmp_path / "captioned"),))
    assert len(open_captions(captions, PROCESSOR).texts) == 60
    heard = tmp_path / "heard"
    heard.mkdir()
    for name in ("._7_ann_0.wav", "7_ann_0.wav"):
        (heard / name).touch()
    assert source_of(heard, None) == "spoken_digits"
    (tmp_path / "captioned" / "all.tsv").rename(tmp_path / "captioned" / "test.tsv")
    assert len(open_captions(captions, PROCESSOR).texts) == 60  # a test set may be asked, and not trained on
    with pytest.raises(ValueError, match=r"test.tsv, row 1 is of a test set by its name, .* nothing to train on"):
        prepare_captions(captions, PROCESSOR, 16)


def test_what_is_scored_of_others_is_not_what_was_to_train_on(tmp_path: Path) -> None:
    given = [Recording(name, np.zeros(9), "a", "ann", side_above(f"{name}/1")) for name in ("train", "dev", "test")]
    assert [one.name for one in _scored(given, SpeechSettings(), print)] == ["dev", "test"]
    assert [one.name for one in _scored(given[::2], SpeechSettings(), print)] == ["test"]
    assert [one.name for one in _scored(given[:1], SpeechSettings(), print)] == ["train"]


def test_a_runs_own_pictures_are_listed_as_it_read_them(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data", 20)
    for place in ("train/disc", "val/disc"):
        (folder / place).mkdir(parents=True)
        Image.fromarray(np.zeros((12, 12), np.uint8)).save(folder / place / "1.png")
    names = [path.relative_to(folder).as_posix() for path in class_files(folder)]
    assert names == ["train/disc/1.png", "val/disc/1.png"]  # and not what lies beside
    assert given_pictures(folder, PROCESSOR, SHAPES, listed=class_files).names == tuple(names)
    assert read_pictures(SignalSettings(paths=(str(folder),)), PROCESSOR, print).names == tuple(names)


def test_the_way_out_of_a_split_is_one_that_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    held = np.ones(2, bool)
    with pytest.raises(ValueError, match=r"set data.held_out=0.1 so, or give more"):
        check_both(held, "sounds", way_out([None, None], 0.1))
    with pytest.raises(ValueError, match="data.held_out is not used"):
        check_both(held, "sounds", way_out([HELD_OUT, HELD_OUT], 0.1))
    alone = [Recording(str(number), np.zeros(9), "a", "ann") for number in range(3)]
    monkeypatch.setitem(SOUND_SOURCES._values, "made_sounds", lambda settings, say: alone)
    with pytest.raises(ValueError, match="nobody else speaks"):
        read_spoken(SpeechSettings(source="made_sounds", held_out_speaker="ann"))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_picture_is_on_one_side_however_it_is_read(seed: int, tmp_path: Path) -> None:
    folder, share = classes(tmp_path / "data"), 0.3
    found = read_pictures(SignalSettings(paths=(str(folder),)), PROCESSOR, print)
    seen = dict(zip(found.names, found.held(share, seed).tolist(), strict=True))
    task = samples_of("shape", folder, None, TaskSettings(held_out=share, seed=seed), PROCESSOR)
    asked = read_questions(QuestionSettings(paths=(str(folder),), held_out=share, seed=seed), PROCESSOR)
    assert asked.held is not None and len(seen) == 60 and 0 < sum(seen.values()) < 60
    assert dict(zip(task.names, task.held.tolist(), strict=True)) == seen
    assert {asked.names[one.picture]: bool(held) for one, held in zip(asked.questions, asked.held, strict=True)} == seen
    fewer = by_name(sorted(seen)[:20], share, seed)  # whatever lies beside it
    assert fewer.tolist() == [seen[name] for name in sorted(seen)[:20]]


def test_a_test_set_is_left_out_and_named(tmp_path: Path) -> None:
    classes(tmp_path / "photos")
    classes(tmp_path / "photos" / "test", 40)
    config = Blueprint.of("vit", "debug", image=12).config
    found = prepare_signals(SignalSettings(paths=(str(tmp_path / "photos"),)), config, None)
    assert len(found.train) + len(found.held_out) == 60
    assert found.notices[0].startswith("40 pictures are left out, test/")
    said = list[str]()
    assert len(of_path(tmp_path / "photos", QuestionSettings(), PROCESSOR, said.append).questions) == 60
    assert any("test set" in text for text in said)
    midi(tmp_path / "songs")
    midi(tmp_path / "songs" / "test", 50)
    music = prepare_music(MusicSettings(paths=(str(tmp_path / "songs"),), voices=1), 32)
    assert len(music.train.pieces) + len(music.held_out.pieces) == 30 and "test/0.mid say" in music.notices[0]
    heard = sounds(tmp_path / "heard")
    (heard / "test").mkdir()
    (heard / "no_1.wav").rename(heard / "test" / "no_1.wav")
    words = ("--debug", "--data", heard, "--set", "train.steps=1", "--set", "data.rate=8000")
    done = good("train", "conformer", *words, "--out", tmp_path / "run")
    assert "1 sounds are left out, test/no_1.wav say" in " ".join((done.out + done.err).split())
    named = SignalSettings(paths=(str(tmp_path / "photos" / "test"),), held_out=0.4)  # a folder that a person means
    assert not prepare_signals(named, config, None).notices


def test_a_class_that_is_held_out_alone_is_named(tmp_path: Path) -> None:
    for place in ("train/disc", "train/cross", "val/disc", "val/ring"):
        (tmp_path / "data" / place).mkdir(parents=True)
        Image.fromarray(np.zeros((12, 12), np.uint8)).save(tmp_path / "data" / place / "1.png")
    done = weft("train", "vit", "--debug", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert done.status == 1 and "the class 'ring' are held out" in " ".join(done.err.split())


def test_a_file_that_is_asked_alone_is_not_split(tmp_path: Path) -> None:
    path = tmp_path / "new.tsv"
    path.write_text("text\tlabel\n" + "".join(f"film {at}\t{at % 2}\n" for at in range(3)) + "last\tother\n")
    task = Task("mood", reads="text", classes=3, names=("0", "1", "other"))
    found, apart = given_samples(task, path, TaskSettings(), PROCESSOR, own=None, labelled=True, say=print)
    assert found.labels.tolist() == [0, 1, 0, 2] and not apart


def test_of_several_paths_each_is_scored_on_its_own_part(tmp_path: Path) -> None:
    train, dev, run = midi(tmp_path / "songs"), midi(tmp_path / "more"), tmp_path / "run"
    for path in (train / "1.mid", train / "2.mid"):
        (train / "val").mkdir(exist_ok=True)
        path.rename(train / "val" / path.name)
    words = ("--debug", "--quiet", "--set", "train.steps=1", "--set", "data.voices=1", "--out", run)
    good("train", "music", "--data", train, "--data", dev, *words)
    done = good("eval", run, "--data", train, "--json")
    assert done.data["examples"] == 2 and "flatters" not in done.err
    done = good("eval", run, "--data", dev, "--json")  # all of which was trained on
    assert done.data["examples"] == 30 and "flatters" in done.err
