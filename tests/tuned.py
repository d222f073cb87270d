"""A small encoder as a folder, and files of small tasks that it can learn in seconds."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import weft
from weft.data import LibraryTokenizer, Template, train_tokenizer
from weft.data.tokenizers.template import Part
from weft.files import write_json, write_tensors
from weft.hub import Model
from weft.hub.folder import own_config
from weft.models import Blueprint

GOOD, BAD = ("good", "fine", "great", "lovely"), ("bad", "poor", "awful", "dull")
NAMES, PLACES = ("anna", "bert", "carl", "dora"), ("rome", "paris", "london", "oslo")
PLAIN = ("the", "film", "was", "a", "story", "with", "music", "in", "it")
WORDS = (*GOOD, *BAD, *NAMES, *PLACES, *PLAIN, "who", "where", "lives")


def wordpieces() -> LibraryTokenizer:
    """It frames texts as published encoders do: [CLS] a [SEP] b [SEP]."""
    made = train_tokenizer("wordpiece", [" ".join(WORDS)] * 3, 200)
    assert isinstance(made, LibraryTokenizer)
    first, last = Part((made.special("[CLS]"),)), (made.end,)
    single = (first, Part("A"), Part(last))
    return made.framed(Template(single, (*single, Part("B", 1), Part(last, 1))))


def encoder(folder: Path, pooler: bool = True) -> Path:
    """A new model, saved."""
    tokenizer = wordpieces()
    blueprint = Blueprint.of("bert", "debug", vocab=tokenizer.vocab, pooler=pooler, tasks=[])
    weft.save(Model(blueprint.build(seed=0), blueprint, tokenizer), folder)
    return folder


def run_tokenizer() -> LibraryTokenizer:
    """It says nothing of what stands around a text, as those that weft trains."""
    made = train_tokenizer("bpe", [" ".join(WORDS)] * 3, 300)
    assert isinstance(made, LibraryTokenizer) and made.template is None
    return made


def run_of(family: str, folder: Path) -> Path:
    """A new model as a run leaves it, in weft's own layout."""
    tokenizer = run_tokenizer()
    blueprint = Blueprint.of(family, "debug", vocab=tokenizer.vocab)
    write_json(folder / "config.json", own_config(blueprint))
    write_tensors(folder / "model.safetensors", dict(blueprint.build(seed=0).state_dict()))
    tokenizer.save(folder)
    return folder


def _some(draw: random.Random, words: Sequence[str], most: int = 6) -> list[str]:
    return [draw.choice(words) for _ in range(draw.randint(1, most))]


def mood(draw: random.Random) -> tuple[str, str]:
    """A text and what it says of a film."""
    good = draw.random() < 0.5
    words = [*_some(draw, PLAIN), draw.choice(GOOD if good else BAD), *_some(draw, PLAIN)]
    return " ".join(words), "yes" if good else "no"


def table(path: Path, count: int, seed: int, row: Callable[[random.Random], Sequence[str]], header: str = "") -> Path:
    """A .tsv."""
    draw = random.Random(seed)
    lines = ["\t".join(row(draw)) for _ in range(count)]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


def tagged(path: Path, count: int, seed: int, tags: Callable[[str], str]) -> Path:
    """Sentences in CoNLL's columns, with a tag of each word: a name, and a place of two words."""
    draw, lines = random.Random(seed), list[str]()
    for _ in range(count):
        place = (draw.choice(PLACES[:2]), draw.choice(PLACES[2:]))
        words = [*_some(draw, PLAIN), draw.choice(NAMES), *_some(draw, PLAIN, 2), *place, *_some(draw, PLAIN)]
        lines += [f"{word} x {tags(word)}" for word in words] + [""]
    path.write_text("\n".join(lines) + "\n")
    return path


def entity(word: str) -> str:
    """IOB2."""
    if word in PLACES:
        return "B-LOC" if word in PLACES[:2] else "I-LOC"
    return "B-PER" if word in NAMES else "O"


def speech(word: str) -> str:
    """A part of speech."""
    return "PROPN" if word in (*NAMES, *PLACES) else "NOUN" if word in ("film", "story", "music") else "X"


def questions(path: Path, count: int, seed: int, impossible: bool = False) -> Path:
    """SQuAD: who lives there; with `impossible`, some contexts name nobody."""
    draw, paragraphs = random.Random(seed), []
    for number in range(count):
        name = "" if impossible and draw.random() < 0.4 else draw.choice(NAMES)
        words = [*_some(draw, PLAIN, 3), *([name] if name else []), *_some(draw, PLAIN, 4)]
        context = " ".join(words)
        answers = [{"text": name, "answer_start": context.index(name)}] if name else []
        asked = {"id": f"q{number}", "question": "who lives", "is_impossible": not name, "answers": answers}
        paragraphs.append({"context": context, "qas": [asked]})
    path.write_text(json.dumps({"version": "2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path
