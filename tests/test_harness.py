"""lm-evaluation-harness asks weft's models in the same process: the numbers of its own models, a local task file."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import weft
from weft.data import train_tokenizer
from weft.hub import Model
from weft.models import Blueprint

TEXTS = ["the answer is yes and no or maybe, said the fox to the bear.\nIt was late: the end"] * 30
PAIRS = [
    ("the answer is", " yes"),
    ("the answer is ", "no"),  # the space is the continuation's
    ("the answer is", " maybe, said the fox"),
    ("", "the fox"),
    ("It was late:\n", "the end"),
    ("the fox and the bear " * 30 + "said", " maybe"),  # longer than the context
]


class Request(NamedTuple):
    """What the adapter reads of the harness's own Instance."""

    args: tuple[Any, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder in the published layout."""
    out = tmp_path_factory.mktemp("harness") / "model"
    tokenizer = train_tokenizer("bpe", TEXTS, 300)
    blueprint = Blueprint.of("gpt2", "debug", vocab=tokenizer.vocab, context=64)
    weft.save(Model(blueprint.build(seed=0), blueprint, tokenizer), out)
    return out


def test_without_the_harness_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delitem(sys.modules, "weft.hub.harness", raising=False)
    with pytest.raises(ValueError, match=r"lm-evaluation-harness is not installed .* pip install 'weft\[harness\]'"):
        importlib.import_module("weft.hub.harness")


def theirs(folder: Path, begins: bool | None = None) -> Any:
    """The harness's own model. begins: None, a text begins as its tokenizer has it, here as weft's prompts do; where
    the harness puts that before a text itself, it would stand twice: False."""
    pytest.importorskip("lm_eval")
    pytest.importorskip("accelerate", reason="the harness's own models need it: pip install 'lm_eval[hf]'")
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), device="cpu", add_bos_token=begins, max_length=64, batch_size=1)


def ours(folder: Path, **settings: Any) -> Any:
    pytest.importorskip("lm_eval")
    from weft.hub.harness import HarnessModel

    return HarnessModel(weft.load(folder), **settings)


@pytest.mark.parametrize("begins", [None, False])
def test_likelihoods_are_those_of_the_harness_and_transformers(begins: bool | None, folder: Path) -> None:
    pairs = [pair for pair in PAIRS[:-1] if (pair[0] == "") is (begins is False)]
    requests: list[Any] = [Request(pair) for pair in pairs]
    wanted = theirs(folder, begins).loglikelihood(requests, disable_tqdm=True)
    for found, told in zip(ours(folder).loglikelihood(requests), wanted, strict=True):
        assert found[0] == pytest.approx(told[0], rel=1e-5, abs=1e-4) and found[1] == told[1]


def test_a_prompt_that_is_too_long_is_cut_or_refused(folder: Path) -> None:
    requests: list[Any] = [Request(PAIRS[-1])]
    ((nats, _),) = ours(folder).loglikelihood(requests)
    assert nats < 0
    with pytest.raises(ValueError, match="request 0: the prompt has"):
        ours(folder, cut=False).loglikelihood(requests)


def test_rolling_likelihoods_are_those_of_the_harness(folder: Path) -> None:
    texts: list[Any] = [Request((text,)) for text in ("the fox", "the fox said to the bear: it was late. " * 15)]
    wanted = theirs(folder, False).loglikelihood_rolling(texts, True)
    assert ours(folder).loglikelihood_rolling(texts) == pytest.approx(wanted, rel=1e-5)


def test_what_is_written_is_what_the_harness_gets(folder: Path) -> None:
    asked: list[Any] = [
        Request((context, {"until": until, "max_gen_toks": 12}))
        for context, until in (("the answer is", ["."]), ("It was late", ["e", "\n"]), ("no", []))
    ]
    assert ours(folder).generate_until(asked) == theirs(folder).generate_until(asked, disable_tqdm=True)
    with pytest.raises(ValueError, match="generation_kwargs have num_beams, which weft does not do"):
        ours(folder).generate_until([Request(("a", {"num_beams": 4, "max_gen_toks": 4}))])


def test_a_short_context_is_shared_by_the_prompt_and_what_is_written(folder: Path) -> None:
    """The context is 64, and where a task does not say how many tokens are written, others take 256."""
    model = ours(folder)
    (text,) = model.generate_until([Request(("the answer is", {"until": []}))])
    assert text == ours(folder, new=32).generate_until([Request(("the answer is", {"until": []}))])[0]
    assert ours(folder, new=8).new == 8
    with pytest.raises(ValueError, match=r"64 tokens are to be written and the context is 64.*max_gen_toks.*new="):
        model.generate_until([Request(("the answer is", {"max_gen_toks": 64}))])


def test_a_local_task_file_is_evaluated(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    from weft.hub.harness import HarnessModel

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    rows = [{"text": f"the fox number {n}", "label": n % 2} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "fox.yaml").write_text(
        "task: fox\ndataset_path: json\n"
        f"dataset_kwargs:\n  data_files:\n    test: {tmp_path / 'rows.jsonl'}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{text}} said:"\ndoc_to_target: label\ndoc_to_choice: ["no", "yes"]\n'
        "metric_list:\n  - metric: acc\n"
    )
    model = weft.load(folder)
    tasks = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = lm_eval.simple_evaluate(
        HarnessModel(model), tasks=["fox"], task_manager=tasks, bootstrap_iters=0, log_samples=True
    )
    assert found is not None

    from weft.evaluate.prompting import PromptTask
    from weft.hub import prompt

    same = prompt(model, PromptTask("{text} said:", "label", ("no", "yes"), ("0", "1")), tmp_path / "rows.jsonl")
    assert found["results"]["fox"]["acc,none"] == same.runs[0].score.value
    for sample, line in zip(found["samples"]["fox"], same.runs[0].lines, strict=True):
        told = [response[0][0] for response in sample["resps"]]
        assert told == pytest.approx([-nats for nats in line["nats"]], rel=1e-5)
