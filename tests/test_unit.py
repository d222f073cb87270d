"""UniT: what tasks ask one decoder about texts, images and both, beside the definition, row by row."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from odd.pictures import patches
from torch import Tensor
from torch.nn import functional

import weft
from weft.hub.model import Model
from weft.models import Blueprint
from weft.models.unified import KINDS, Task, Unified
from weft.nn import Encoder, Layout
from weft.nn.context import Context
from weft.training.optimisers import groups

IMAGES = patches(torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0)), 4)
TEXTS = [[5, 7, 2, 130, 9], [3, 4]]
TASKS = {"sentiment": (1, 7), "answer": (2, 7), "objects": (5, 4)}


def built(**changes: Any) -> Unified:
    module = Blueprint.of("unit", "debug", **changes).build(seed=1)
    assert isinstance(module, Unified)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():  # norms and biases, too
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return module


def padded() -> tuple[Tensor, Layout]:
    tokens = torch.tensor([[*row, *[0] * (5 - len(row))] for row in TEXTS])
    return tokens, Layout.ragged(torch.tensor([len(row) for row in TEXTS]), 5)


def asked(module: Any, task: str, rows: slice = slice(None)) -> Tensor:
    tokens, here = padded()
    assert here.segments is not None
    reads = module.get_submodule(f"tasks.{task}").kinds
    text = (tokens[rows], Layout(segments=here.segments[rows])) if "text" in reads else (None, None)
    source = IMAGES[rows] if "image" in reads else None
    return module(source, text[0], None, text[1], task=task)[0]


def plain(module: Any, x: Tensor, memory: Tensor) -> Tensor:
    """Attention by torch's own module, given these weights. x [Q, D], memory [S, D] -> [Q, D]."""
    parts, heads = dict(module.named_children()), module.heads
    weights = [parts[name].weight for name in ("q", "k", "v")]
    biases = torch.cat([parts[name].bias for name in ("q", "k", "v")])
    out, _ = functional.multi_head_attention_forward(
        x[:, None], memory[:, None], memory[:, None], x.shape[-1], heads, None, biases, None, None, False, 0.0,
        parts["out"].weight, parts["out"].bias, training=False, use_separate_proj_weight=True,
        q_proj_weight=weights[0], k_proj_weight=weights[1], v_proj_weight=weights[2],
    )  # fmt: skip
    return out[:, 0]


def naive(module: Any, task: str, image: Tensor | None, text: list[int] | None) -> Tensor:
    """The paper's equations for one row without padding: h = D(concat(h^v, h^t), q^task)."""
    own, memory = module.get_submodule(f"tasks.{task}"), list[Tensor]()
    for kind, given in (("image", image), ("text", text)):
        if given is None:
            continue
        encoder: Encoder = getattr(module, kind)
        x = encoder.embed(torch.as_tensor(given)[None], Layout())
        x = torch.cat((own.first[kind].weight[None], x), dim=1)
        states = encoder.stack(x, Context(Layout()))[0][0, 1:]
        kept = states if kind == "image" or own.task.words else states[:1]
        memory.append(module.lifts[kind](kept))
    looked, x = torch.cat(memory), own.queries.weight
    for layer in module.decoder.layers:
        x = layer.attn.after(x + plain(layer.attn.branch, x, x))
        x = layer.cross.after(x + plain(layer.cross.branch, x, looked))
        mlp = layer.mlp.branch
        x = layer.mlp.after(x + mlp.down(mlp.up(x).relu()))
    return module.decoder.norm(x)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_asked_as_the_paper_says(task: str) -> None:
    """Of each row alone, whatever stands beside it."""
    module, made = built(), asked(built(), task)
    reads = KINDS["text" if task == "sentiment" else "image" if task == "objects" else "both"]
    for row in range(2):
        image, text = IMAGES[row] if "image" in reads else None, TEXTS[row] if "text" in reads else None
        torch.testing.assert_close(made[row], naive(module, task, image, text), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(made[row : row + 1], asked(module, task, slice(row, row + 1)), rtol=1e-4, atol=1e-5)


def test_heads_read_what_their_task_asks() -> None:
    module = built(tasks=[
        dict(name="sentiment", reads="text", classes=7), dict(name="answer", classes=7, queries=2),
        dict(name="objects", reads="image", classes=3, queries=5, boxes=True)])  # fmt: skip
    for task, (queries, scores) in TASKS.items():
        x = asked(module, task)
        assert x.shape == (2, queries, 56)
        logits = module.logits(x, task)
        if task != "objects":  # of the first query alone
            assert logits.shape == (2, scores)
            torch.testing.assert_close(
                logits, module.logits(x.clone().index_fill(1, torch.arange(1, queries), 9.0), task)
            )
            continue
        boxes = module.boxes(x, task)
        assert logits.shape == (2, 5, scores) and boxes.shape == (2, 5, 4)
        assert bool(((boxes > 0) & (boxes < 1)).all())
    head, x = module.get_submodule("tasks.answer.classes"), asked(module, "answer")[:, 0]
    dense, norm, out = (getattr(head, name) for name in ("dense", "norm", "out"))
    hidden = functional.layer_norm(functional.gelu(functional.linear(x, dense.weight, dense.bias)), (56,), norm.weight,
                                   norm.bias, norm.eps)  # fmt: skip
    torch.testing.assert_close(module.logits(asked(module, "answer"), "answer"), out(hidden))
    with pytest.raises(ValueError, match="the task 'answer' has no boxes"):
        module.boxes(x, "answer")


def test_all_tasks_train_what_they_share_and_their_own() -> None:
    blueprint = Blueprint.of("unit", "debug")
    module = blueprint.build(seed=3).train()
    assert isinstance(module, Unified)
    groups(module).check(module)
    total = torch.zeros(())
    for task in TASKS:
        x = asked(module, task)
        total = total + module.logits(x, task).square().mean()
        if task == "objects":
            total = total + module.boxes(x, task).square().mean()
    total.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
    module.zero_grad()
    x = asked(module, "sentiment")
    module.logits(x, "sentiment").sum().backward()
    assert all(p.grad is None for p in module.image.parameters())
    assert all(p.grad is None for task in ("answer", "objects") for p in module.tasks[task].parameters())
    same = [blueprint.build(seed=3).state_dict() for _ in range(2)]
    assert all(torch.equal(tensor, same[1][name]) for name, tensor in same[0].items())


def test_it_is_saved_with_its_tasks_and_its_sides(tmp_path: Path) -> None:
    blueprint = Blueprint.of("unit", "debug").change("text.position", "rope").change("image.depth", "1")
    assert Blueprint.from_data(json.loads(json.dumps(blueprint.to_data()))) == blueprint
    module = blueprint.build(seed=5)
    weft.save(Model(module, blueprint), tmp_path)
    again = weft.load(tmp_path)
    assert again.blueprint == blueprint and isinstance(again.module, Unified) and isinstance(module, Unified)
    for task in TASKS:
        torch.testing.assert_close(asked(module, task), asked(again.module, task), rtol=0, atol=0)
    other = Blueprint.of("unit", "debug", text=Blueprint.of("roberta", "debug", pooler=False, tasks=[])).build()
    assert isinstance(other, Unified) and asked(other, "answer").shape == (2, 2, 56)


def test_what_a_task_does_not_read_is_refused() -> None:
    module, (tokens, _) = built(), padded()
    for task, source, text, message in (
        ("sentiment", IMAGES, tokens, "'sentiment' reads text, and is given image and text"),
        ("answer", None, tokens, "'answer' reads image and text, and is given text"),
        ("objects", None, None, "'objects' reads image, and is given nothing"),
        ("dance", IMAGES, tokens, "no task is called 'dance'; there are sentiment, answer, objects"),
    ):
        with pytest.raises(ValueError, match=message):
            module(source, text, task=task)
    with pytest.raises(ValueError, match="name the scheme of a side"):
        Blueprint.of("unit", "debug").change("position", "rope").build()
    with pytest.raises(ValueError, match="text is a Decoder, image a Encoder"):
        built(text=Blueprint.of("llama", "debug"))
    with pytest.raises(ValueError, match="2 tasks with 1 names"):
        built(tasks=[dict(name="a"), dict(name="a")])
    for name, classes, queries in (("a.b", 2, 1), ("a", 0, 1), ("a", 2, 0)):
        with pytest.raises(ValueError, match="it has a word for a name"):
            Task(name, classes=classes, queries=queries)
