"""Speed of published models beside transformers: a forward pass, and a training step.

    python benchmarks/published_speed.py [--passes 9] [--families gpt2 llama bert t5 modernbert deberta mixtral]
                                         [--tasks forward train] [--precisions bf16 fp32] [--batch 8]

One folder a family is written by transformers, at a published size with 6 layers, and both libraries load it: the same
weights, the same rows, the same optimiser (fused AdamW). Each runs uncompiled and compiled; a library's figure is its
better one. Each is a process of its own, and they take turns, a pass each, so that a drift of the machine's speed falls
on all: two turns to warm up, then --passes counted ones. weft's keeps the memory that it frees, as its commands do. The
table shows medians, and the median over turns of the ratio of one turn's two times, with its quartiles.

bf16: a forward pass has its weights in bf16, a training step runs under autocast with weights in fp32.
transformers: attention by SDPA, its default. weft: attention kernels measured once, as `weft train` does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAMILIES = ("gpt2", "llama", "bert", "t5", "modernbert", "deberta", "mixtral")
MASKED = ("bert", "modernbert", "deberta")
CONTESTANTS = ("weft", "weft-compiled", "transformers", "transformers-compiled")
WARM = 2
LENGTH, TARGET = 256, 64  # of an encoder–decoder: a source of LENGTH, a target of TARGET


def reference(family: str) -> Any:
    """The reference's model, without dropout, so that both compute the same."""
    import transformers as t

    if family == "gpt2":
        return t.GPT2LMHeadModel(t.GPT2Config(n_layer=6, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    if family == "llama":
        sizes = dict(hidden_size=768, intermediate_size=2048, num_attention_heads=12, num_key_value_heads=4)
        return t.LlamaForCausalLM(t.LlamaConfig(num_hidden_layers=6, **sizes))
    if family == "mixtral":
        sizes = dict(hidden_size=768, intermediate_size=1024, num_attention_heads=12, num_key_value_heads=4)
        return t.MixtralForCausalLM(t.MixtralConfig(num_hidden_layers=6, **sizes))  # 8 experts, 2 for each token
    none = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    if family == "bert":
        return t.BertForMaskedLM(t.BertConfig(num_hidden_layers=6, **none))
    if family == "modernbert":
        return t.ModernBertForMaskedLM(t.ModernBertConfig(num_hidden_layers=6))
    if family == "deberta":  # the third's shape, with a smaller table of tokens
        sizes = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12, vocab_size=30522)
        more = dict(relative_attention=True, position_buckets=256, share_att_key=True, norm_rel_ebd="layer_norm")
        kinds = dict(pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0)
        config = t.DebertaV2Config(num_hidden_layers=6, **sizes, **more, **kinds, **none)
        return t.DebertaV2ForMaskedLM(config)
    return t.T5ForConditionalGeneration(t.T5Config(dropout_rate=0.0, decoder_start_token_id=0))


def rows(family: str, vocab: int, batch: int) -> tuple[Any, ...]:
    """`batch` rows of tokens and labels; of an encoder–decoder sources, decoder inputs and labels."""
    import torch

    torch.manual_seed(0)
    if family == "t5":
        return tuple(torch.randint(2, vocab, (batch, length)) for length in (LENGTH, TARGET, TARGET))
    return tuple(torch.randint(2, vocab, (batch, LENGTH)) for _ in range(2))


def weft(
    family: str, folder: str, task: str, precision: str, batch: int, compiled: bool
) -> tuple[Any, Callable[[], Any]]:
    """The module, and a pass: scores, or the loss."""
    import torch

    import weft
    from weft.training import measure

    loaded = weft.load(folder, dtype="bf16" if precision == "bf16" and task == "forward" else "fp32")
    module, given = loaded.module, rows(family, loaded.config.vocab, batch)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    measure.choose(module, batch, LENGTH, dtype=dtype)
    if compiled:
        module.compile(dynamic=False)
    *inputs, labels = given

    def scores() -> Any:
        return module.logits(module(*inputs)[0])

    def loss() -> Any:
        return module.nats(module(*inputs)[0], labels) / labels.numel()

    return module, scores if task == "forward" else loss


def transformers(
    family: str, folder: str, task: str, precision: str, batch: int, compiled: bool
) -> tuple[Any, Callable[[], Any]]:
    """The module, and a pass: scores, or the loss."""
    import torch

    kind = torch.bfloat16 if precision == "bf16" and task == "forward" else torch.float32
    module = type(reference(family)).from_pretrained(folder, dtype=kind)
    given = rows(family, module.config.vocab_size, batch)
    if compiled:
        module.compile(dynamic=False)
    more = {} if family in MASKED else {"use_cache": False}

    def run(**labels: Any) -> Any:
        if family == "t5":
            return module(input_ids=given[0], decoder_input_ids=given[1], **labels, **more)
        return module(given[0], **labels, **more)

    def scores() -> Any:
        return run().logits

    def loss() -> Any:  # not its own loss, which would move the labels of decoders by one
        return torch.nn.functional.cross_entropy(run().logits.float().flatten(0, 1), given[-1].flatten())

    return module, scores if task == "forward" else loss


def passes(name: str, family: str, folder: str, given: argparse.Namespace, task: str, precision: str) -> Any:
    """What makes one pass of a contestant."""
    import torch

    library, _, how = name.partition("-")
    make = weft if library == "weft" else transformers
    module, run = make(family, folder, task, precision, given.batch, how == "compiled")
    module.train(task == "train")
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True) if task == "train" else None

    def step() -> None:
        if optimiser is None:
            with torch.inference_mode():
                run()
            return
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = run()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def contestant(name: str, family: str, folder: str, task: str, precision: str, given: argparse.Namespace) -> None:
    """A contestant's own process: a pass for each line that comes in, its seconds for each that goes out."""
    if name.startswith("weft"):
        import weft

        weft.keep_memory()  # as weft's commands do
    step = passes(name, family, folder, given, task, precision)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        print(time.perf_counter() - began, flush=True)


def measured(family: str, folder: str, given: argparse.Namespace, task: str, precision: str) -> dict[str, list[float]]:
    """Seconds of each counted pass of each contestant, in turns; all of them are held in memory at once."""
    workers, times = dict[str, Any](), dict[str, list[float]]()
    with tempfile.TemporaryFile("w+") as said:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said}
        for name in given.contestants:
            words = [sys.executable, "-W", "ignore", __file__, "--batch", str(given.batch)]
            asked = ["--one", name, family, folder, task, precision]
            workers[name], times[name] = subprocess.Popen([*words, *asked], text=True, bufsize=1, **pipes), []
        for turn in range(WARM + given.passes):
            for name, worker in workers.items():
                if worker.poll() is None:
                    worker.stdin.write("\n")
                line = worker.stdout.readline()
                if not line:
                    said.seek(0)
                    raise SystemExit(f"{said.read()}\n{name} ended: {family}, {task}, {precision}")
                if turn >= WARM:
                    times[name].append(float(line))
        for worker in workers.values():
            worker.communicate()
    return times


def report(family: str, task: str, precision: str, times: dict[str, list[float]]) -> None:
    """A line: medians, and the median over turns of the reference's time over ours, each library at its better one."""
    middle = {name: statistics.median(found) for name, found in times.items()}
    best = {}
    for name in sorted(middle, key=lambda name: middle[name]):
        best.setdefault(name.partition("-")[0], name)
    ratios = [theirs / ours for theirs, ours in zip(times[best["transformers"]], times[best["weft"]], strict=True)]
    shown = "".join(f"{1000 * middle[name]:>20.1f} ms" for name in times)
    low, _, high = statistics.quantiles(ratios)
    print(
        f"{family:11}{task:9}{precision:6}{shown}{statistics.median(ratios):>7.2f}x ({low:.2f} to {high:.2f})",
        flush=True,
    )


def measure_all(given: argparse.Namespace, folder: Path) -> None:
    print(f"{'family':11}{'task':9}{'':6}" + "".join(f"{name:>23}" for name in given.contestants) + f"{'ratio':>8}")
    for family in given.families:
        reference(family).save_pretrained(folder / family)
        for task in given.tasks:
            for precision in given.precisions:
                report(family, task, precision, measured(family, str(folder / family), given, task, precision))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=9)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--tasks", nargs="+", choices=("forward", "train"), default=("forward", "train"))
    parser.add_argument("--precisions", nargs="+", choices=("bf16", "fp32"), default=("bf16", "fp32"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        contestant(*given.one, given)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_all(given, Path(folder))


if __name__ == "__main__":
    main()
