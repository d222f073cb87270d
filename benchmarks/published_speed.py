"""Speed of published models beside transformers: a forward pass, and a training step.

    python benchmarks/published_speed.py [--rounds 3] [--families gpt2 llama bert t5 modernbert deberta mixtral]
                                         [--tasks forward train] [--precisions bf16 fp32] [--batch 8]

One folder a family is written by transformers, at a published size with 6 layers, and both libraries load it: the same
weights, the same rows, the same optimiser (fused AdamW). Each runs uncompiled and compiled; a library's figure is its
better one. Every contestant runs in a process of its own, one after the other, round by round, so that a drift of the
machine's speed falls on all. A round is 2 warm-up passes and 5 counted ones; its figure is the median; the table shows
medians over rounds, and the ratio of the medians.

bf16: a forward pass has its weights in bf16, a training step runs under autocast with weights in fp32.
transformers: attention by SDPA, its default. weft: attention kernels measured once, as `weft train` does.
"""

from __future__ import annotations

import argparse
import json
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
WARM, TIMED = 2, 5
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


def one(name: str, family: str, folder: str, task: str, precision: str, batch: str) -> float:
    """Seconds of a pass, in this process: the median."""
    import torch

    library, _, how = name.partition("-")
    make = weft if library == "weft" else transformers
    module, run = make(family, folder, task, precision, int(batch), how == "compiled")
    module.train(task == "train")
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        if task == "forward":
            with torch.inference_mode():
                run()
            return
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = run()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    times = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[WARM:])


def measure_all(given: argparse.Namespace, folder: Path) -> None:
    print(f"{'family':8}{'task':9}{'':6}" + "".join(f"{name:>23}" for name in given.contestants) + f"{'ratio':>8}")
    for family in given.families:
        reference(family).save_pretrained(folder / family)
        for task in given.tasks:
            for precision in given.precisions:
                found: dict[str, list[float]] = {name: [] for name in given.contestants}
                for _ in range(given.rounds):
                    for name in given.contestants:
                        words = [
                            sys.executable,
                            "-W",
                            "ignore",
                            __file__,
                            "--one",
                            name,
                            family,
                            str(folder / family),
                            task,
                        ]
                        done = subprocess.run(
                            [*words, precision, str(given.batch)], check=True, stdout=subprocess.PIPE, text=True
                        )
                        found[name].append(json.loads(done.stdout.splitlines()[-1]))
                middle = {name: statistics.median(times) for name, times in found.items()}
                ours, theirs = (
                    min(seconds for name, seconds in middle.items() if name.partition("-")[0] == library)
                    for library in ("weft", "transformers")
                )
                shown = "".join(f"{1000 * middle[name]:>20.1f} ms" for name in given.contestants)
                print(f"{family:8}{task:9}{precision:6}{shown}{theirs / ours:>7.2f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--tasks", nargs="+", choices=("forward", "train"), default=("forward", "train"))
    parser.add_argument("--precisions", nargs="+", choices=("bf16", "fp32"), default=("bf16", "fp32"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(*given.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_all(given, Path(folder))


if __name__ == "__main__":
    main()
