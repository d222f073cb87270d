"""Make docs/gallery.md and the files it shows, by the commands it shows, from finished runs.

    python docs/gallery.py RUNS DATA   # RUNS/bach, RUNS/clothes …: see EXHIBITS; DATA: the folders its recipes name

An exhibit whose run is not there stays as the page has it; one that the page has not either is named at its end.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ROOT / "docs" / "gallery"
HEAD = """# Gallery

What small models make after some minutes on two cores. Each picture, roll and transcript came of the command above it
(`python docs/gallery.py RUNS DATA` runs those whose runs are there): the first draw of seed 0, nothing chosen by hand.
How well each does by numbers is in `benchmarks/RESULTS.md`.
"""


@dataclass(frozen=True)
class Exhibit:
    """run: the folder that `train` made, below RUN. train, makes: words of the weft command, of which RUN/… is below
    the runs, DATA/… below the data, GIVEN/… one of `given`'s files, and OUT/… is what is shown. lines: so many of what
    a command writes are shown."""

    title: str
    says: str
    run: str
    train: str
    makes: tuple[str, ...]
    lines: int = 12


EXHIBITS = (
    Exhibit(
        "Clothes, out of noise",
        "A diffusion transformer that is told a class; eight of each of the ten, in their order.",
        "diffusion",
        "train fashion_diffusion --data DATA/fashion_mnist --out RUN/diffusion",
        ("generate RUN/diffusion --count 8 --out OUT/diffusion.png",),
    ),
    Exhibit(
        "Clothes, from a codebook",
        "A VQGAN makes 49 codes of a picture; a GPT writes codes behind a class, and the VQGAN's decoder paints them.",
        "codes",
        "train fashion_codes --data DATA/fashion_mnist --set data.quantiser=RUN/vqgan --out RUN/codes",
        ("generate RUN/codes --count 8 --out OUT/codes.png",),
    ),
    Exhibit(
        "Clothes, pixel by pixel",
        "ImageGPT: each pixel is drawn from those before it.",
        "imagegpt",
        "train fashion_imagegpt --data DATA/fashion_mnist --out RUN/imagegpt",
        ("generate RUN/imagegpt --count 8 --out OUT/imagegpt.png",),
    ),
    Exhibit(
        "Emoji, by their names",
        "The diffusion transformer again, told a caption by cross-attention.",
        "emoji_diffusion",
        "train emoji_diffusion --data DATA/noto_emoji --out RUN/emoji_diffusion",
        (
            'generate RUN/emoji_diffusion --prompt "red heart" --prompt "grinning face" --prompt "clock" --count 6 '
            "--guidance 3 --out OUT/emoji.png",
        ),
    ),
    Exhibit(
        "A chorale",
        "A Music Transformer wrote it after 229 of Bach's: its piano roll, and the same piece to listen to.",
        "bach",
        "train bach --data DATA/jsb_chorales/satb_16th.json.gz --out RUN/bach",
        ("generate RUN/bach --out OUT/chorale.png", "generate RUN/bach --out OUT/chorale.mid"),
    ),
    Exhibit(
        "Digits, heard",
        "A model of Whisper's shape writes down digits of a speaker it never heard, 3 1 4 1 5 9 in turn.",
        "digits_whisper",
        "train digits_whisper --data DATA/spoken_digits/recordings.tar.gz --out RUN/digits_whisper",
        ("transcribe GIVEN/digits.wav RUN/digits_whisper --out OUT/digits.srt",),
    ),
    Exhibit(
        "Pictures find their names",
        "A small CLIP, which saw 1,511 emoji and nothing else, holds pictures it never saw against their captions.",
        "emoji_clip",
        "train emoji_clip --data DATA/noto_emoji --out RUN/emoji_clip",
        ("eval RUN/emoji_clip --data DATA/noto_emoji",),
    ),
    Exhibit(
        "Questions about pictures",
        "A decoder that is given a picture's states answers in words.",
        "llava",
        "train emoji_llava --data DATA/noto_emoji --out RUN/llava",
        ("predict RUN/llava --data DATA/noto_emoji --score --out OUT/answers.jsonl",),
        lines=8,
    ),
    Exhibit(
        "A pole, balanced as long as it is asked",
        "A Decision Transformer in CartPole: what is asked of it, and what came, in the mean of 20 episodes.",
        "cartpole",
        "train cartpole_decision --set data.against=RUN/cartpole_cloning --out RUN/cartpole",
        ("eval RUN/cartpole",),
        lines=16,
    ),
    Exhibit(
        "Sunspots to come",
        "A decoder of numbers goes on where the series ends.",
        "sunspots",
        "train sunspots --out RUN/sunspots",
        ("generate RUN/sunspots --prompt GIVEN/sunspots.csv --tokens 12 --out OUT/sunspots.csv",),
    ),
)


def given(name: str, data: Path, folder: Path) -> None:
    """What a command is given: digits.wav, recordings of the speaker whom `digits_whisper` leaves out, joined, or
    sunspots.csv, the yearly numbers that statsmodels ships."""
    if name == "sunspots.csv":
        from statsmodels.datasets import sunspots

        numbers = sunspots.load_pandas().data["SUNACTIVITY"]
        (folder / name).write_text("\n".join(["SUNACTIVITY", *(f"{number:g}" for number in numbers)]) + "\n")
        return
    pieces, rate = list[np.ndarray](), 0
    with tarfile.open(data / "spoken_digits" / "recordings.tar.gz") as archive:
        files = {Path(member.name).name: member for member in archive.getmembers()}
        for digit in "314159":
            found = archive.extractfile(files[f"{digit}_yweweler_0.wav"])
            assert found is not None, "a file, not a folder"
            wave, rate = soundfile.read(io.BytesIO(found.read()))
            pieces += [wave, np.zeros(rate // 2)]
    soundfile.write(folder / name, np.concatenate(pieces), rate)


def made(words: str, places: dict[str, Path]) -> tuple[list[Path], str]:
    """Run a command; the files it wrote into OUT, and what it printed."""
    out = places["OUT"]
    before = set(out.iterdir())
    for word in shlex.split(words):
        if word.startswith("GIVEN/"):
            given(word.removeprefix("GIVEN/"), places["DATA"], places["GIVEN"])
    told = [_placed(word, places) for word in shlex.split(words)]
    done = subprocess.run(
        [sys.executable, "-m", "weft", *told], capture_output=True, text=True, env=os.environ | {"COLUMNS": "120"}
    )
    if done.returncode:
        raise SystemExit(f"weft {words}\n{done.stderr}")
    return sorted(set(out.iterdir()) - before), done.stdout


def _placed(word: str, places: dict[str, Path]) -> str:
    name, slash, rest = word.partition("/")
    return str(places[name] / rest) if slash and name in places else word


def as_read(words: str) -> str:
    """A command as a person writes it."""
    return "weft " + words.replace("RUN/", "runs/").replace("DATA/", "").replace("OUT/", "").replace("GIVEN/", "")


def shown(path: Path, lines: int) -> str:
    """A picture as one, a text as its first lines, anything else as a link."""
    here = f"gallery/{path.name}"
    if path.suffix == ".png":
        return f"![{path.stem}]({here})\n"
    if path.suffix in (".srt", ".csv", ".jsonl", ".txt"):
        return block(path.read_text(encoding="utf-8"), lines)
    return f"[{path.name}]({here})\n"


def block(text: str, lines: int) -> str:
    """The first lines of a text; that there were more is said."""
    said = text.strip().splitlines()
    more = [f"… {len(said) - lines:,} more"] if len(said) > lines else []
    return "\n".join(["```text", *(line.rstrip() for line in said[:lines]), *more, "```"]) + "\n"


def page(places: dict[str, Path], before: str) -> str:
    """All exhibits, whose files go to OUT; those whose runs are not there as they are in the page `before`."""
    runs, parts, missing, kept = places["RUN"], [HEAD], list[str](), sections(before)
    for exhibit in EXHIBITS:
        if (runs / exhibit.run / "model.safetensors").is_file():
            print(exhibit.title, file=sys.stderr)
            parts.append(section(exhibit, places))
        elif as_read(exhibit.train) in kept.get(exhibit.title, ""):
            print(f"{exhibit.title}: as it is, {runs / exhibit.run} is not there", file=sys.stderr)
            parts.append(kept[exhibit.title])
        else:
            missing.append(exhibit.title)
    if missing:
        parts.append(f"## Not shown\n\nNot trained where this page was made: {'; '.join(missing)}.\n")
    return "\n".join(parts)


def sections(text: str) -> dict[str, str]:
    """The exhibits of a page by their titles."""
    titles = "|".join(re.escape(title) for title in (*(exhibit.title for exhibit in EXHIBITS), "Not shown"))
    _, *found = re.split(rf"^## ({titles})\n", text, flags=re.MULTILINE)
    return {title: f"## {title}\n{part.rstrip()}\n" for title, part in zip(found[::2], found[1::2], strict=True)}


def section(exhibit: Exhibit, places: dict[str, Path]) -> str:
    """An exhibit, made by its commands."""
    report = json.loads((places["RUN"] / exhibit.run / "report.json").read_text(encoding="utf-8"))
    trained = f"Trained for {report['steps']:,} steps, {max(1, round(report['seconds'] / 60))} min:"
    parts = [f"## {exhibit.title}\n\n{exhibit.says} {trained}\n\n```sh\n{as_read(exhibit.train)}\n```\n"]
    for words in exhibit.makes:
        files, printed = made(words, places)
        said = [shown(file, exhibit.lines) for file in files] or [block(printed, exhibit.lines)]
        parts.append("\n".join([f"```sh\n{as_read(words)}\n```\n", *said]))
    return "\n".join(parts)


def main() -> None:
    runs, data = (Path(word).resolve() for word in sys.argv[1:3])
    if not runs.is_dir():
        raise SystemExit(f"{runs}: there is no such folder; give the one that holds the runs")
    shown_on = ROOT / "docs" / "gallery.md"
    before = shown_on.read_text(encoding="utf-8") if shown_on.is_file() else ""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        text = page({"RUN": runs, "DATA": data, "OUT": Path(folder), "GIVEN": Path(other)}, before)
        SHOWN.mkdir(exist_ok=True)
        for file in Path(folder).iterdir():
            if file.suffix in (".png", ".mid"):
                shutil.copy(file, SHOWN / file.name)
    shown_on.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
