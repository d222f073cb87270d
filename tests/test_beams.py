"""Beam search is the reference library's: the same rows and scores on the same weights, whatever ends the search."""

from functools import cache
from typing import Any

import pytest
import torch
from published_cases import CASES, published, reference

import weft
from weft.generate import Beam, Beams, EarlyStopping, beam_search
from weft.models import Blueprint
from weft.nn import Writer

PUBLISHED = [name for name in published() if isinstance(Blueprint.of(name, "debug").empty(), Writer)]
CASE = {
    name: case for name in PUBLISHED for case in reversed(CASES.get(name, ())) if case.greedy and case.given is None
}
WRITERS = list(CASE)
THEIRS: dict[EarlyStopping, bool | str] = {"never": "never", "likely": False, "always": True}
LENGTHS = (6, 1, 3)  # of prompts
START = 3  # what targets begin with


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By family: the reference's model, and ours of its folder; its token table times `sharp`."""

    @cache
    def made(name: str, sharp: float = 1.0) -> tuple[Any, torch.nn.Module]:
        theirs, folder = reference(CASE[name]), tmp_path_factory.mktemp(name)
        with torch.no_grad():
            theirs.get_input_embeddings().weight.mul_(sharp)
        theirs.save_pretrained(folder)
        return theirs, weft.load(folder).module

    return made


def prompts(module: torch.nn.Module) -> list[list[int]]:
    """Of unequal length, without the ids from which the reference infers padding."""
    generator, avoid = torch.Generator().manual_seed(5), {number for case in CASE.values() for number in case.avoid}
    rows = [torch.randint(1, module.embed.vocab, (n,), generator=generator).tolist() for n in LENGTHS]
    return [[module.embed.vocab - 1 if number in avoid else number for number in row] for row in rows]


def asked(
    theirs: Any, prompt: list[int], beams: Beams, stop: list[int], new: int
) -> list[tuple[tuple[int, ...], float]]:
    """Ids and score of every row that the reference finds for one prompt, best first."""
    from transformers import GenerationConfig

    theirs.generation_config = GenerationConfig(
        num_beams=beams.width,
        num_return_sequences=beams.width,
        length_penalty=beams.length_penalty,
        early_stopping=THEIRS[beams.early_stopping],
        eos_token_id=stop or None,
        pad_token_id=0,
        decoder_start_token_id=START,
        max_new_tokens=new,
        use_cache=False,
    )
    ids = torch.tensor([prompt])
    made = theirs.generate(ids, attention_mask=torch.ones_like(ids), return_dict_in_generate=True, output_scores=True)
    first = 1 if theirs.config.is_encoder_decoder else len(prompt)
    rows = [row[first:].tolist() for row in made.sequences]
    ends = [next((place + 1 for place, token in enumerate(row) if token in stop), new) for row in rows]
    return [(tuple(row[:end]), float(score)) for row, end, score in zip(rows, ends, made.sequences_scores, strict=True)]


def stops(module: torch.nn.Module, new: int) -> list[int]:
    """Ids that end rows at several lengths: what is found without them has them at its first and third place."""
    found = beam_search(module, prompts(module), width=3, best=3, new=new, start=START)
    return sorted({found[0][0].ids[2], found[1][1].ids[1], found[2][2].ids[new // 2], found[1][2].ids[-1]})


def found(module: torch.nn.Module, beams: Beams, stop: list[int], new: int) -> list[list[Beam]]:
    """Every row that we find for each prompt, all of them together."""
    return beam_search(
        module,
        prompts(module),
        width=beams.width,
        best=beams.width,
        new=new,
        alpha=beams.length_penalty,
        early_stopping=beams.early_stopping,
        stop=stop,
        start=START,
    )


def check(theirs: Any, module: torch.nn.Module, beams: Beams, stop: list[int], new: int) -> None:
    for prompt, rows in zip(prompts(module), found(module, beams, stop, new), strict=True):
        wanted = asked(theirs, prompt, beams, stop, new)
        assert [row.ids for row in rows] == [ids for ids, _ in wanted]
        assert [row.score for row in rows] == pytest.approx([score for _, score in wanted], abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_rows_and_scores_are_the_references(name: str, pair: Any) -> None:
    pytest.importorskip("transformers")
    theirs, module = pair(name)
    stop = stops(module, 6)
    for beams, new in ((Beams(4, 0.8, "likely"), 6), (Beams(2, 2.0, "always"), 5), (Beams(3, 1.0, "never"), 3)):
        check(theirs, module, beams, stop, new)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0])
def test_every_way_of_ending_is_the_references(penalty: float, pair: Any) -> None:
    """Sharp scores: a row may come late to the best mean, after cheap tokens."""
    pytest.importorskip("transformers")
    theirs, module = pair("gpt2", 5.0)
    for width, new, every in ((3, 8, 15), (5, 4, 4), (3, 1, 9)):
        stop = list(range(2, module.embed.vocab, every))
        for way in THEIRS:
            check(theirs, module, Beams(width, penalty, way), stop, new)
    never, likely, always = (found(module, Beams(3, penalty, way), list(range(2, 97, 15)), 8) for way in THEIRS)
    assert penalty != 1 or never != likely != always != never
