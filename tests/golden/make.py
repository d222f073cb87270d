"""Write the golden files beside this one: weights under the reference's names, an input, and the reference's logits.

    PYTHONPATH=src python tests/golden/make.py bert      # needs transformers; without a name it makes all of them

They keep the numbers true where the reference is not installed. Make one anew only when a family is added: the old
ones must go on passing.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from weft.files import write_tensors

HERE = Path(__file__).resolve().parent


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter random, norms and biases too; drawn in the order of their names."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            std = 0.2 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std + (parameter.ndim < 2))
    return module.eval()


def gpt2() -> tuple[nn.Module, dict]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = dict(vocab=61, context=19, width=24, depth=2, heads=3, hidden=40, eps=1e-3)
    theirs = GPT2Config(
        vocab_size=61, n_positions=19, n_embd=24, n_layer=2, n_head=3, n_inner=40, layer_norm_epsilon=1e-3
    )
    return GPT2LMHeadModel(theirs), config


def llama() -> tuple[nn.Module, dict]:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = dict(vocab=61, context=64, width=24, depth=2, heads=6, kv_heads=3, head_width=6, hidden=44, eps=1e-4)
    theirs = LlamaConfig(
        vocab_size=61,
        max_position_embeddings=64,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=6,
        intermediate_size=44,
        rms_norm_eps=1e-4,
        rope_parameters={"rope_type": "default", "rope_theta": 20000.0},
    )
    return LlamaForCausalLM(theirs), {**config, "theta": 20000.0}


def t5() -> tuple[nn.Module, dict]:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = dict(vocab=61, width=18, encoder_depth=2, decoder_depth=1, heads=3, head_width=8, hidden=28)
    config = sizes | dict(act="gelu_tanh", gated=True, eps=1e-4, buckets=10, distance=12, tied=False, scaled=False)
    theirs = T5Config(
        vocab_size=61,
        d_model=18,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=3,
        d_kv=8,
        d_ff=28,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-4,
        relative_attention_num_buckets=10,
        relative_attention_max_distance=12,
        scale_decoder_outputs=False,
    )
    module = T5ForConditionalGeneration(theirs)
    module.lm_head.weight = nn.Parameter(torch.empty_like(module.shared.weight))
    return module, config


def keep(name: str, config: dict, tensors: dict[str, Tensor]) -> None:
    """Write a golden file, and say how large it is."""
    path = HERE / f"{name}.safetensors"
    write_tensors(path, tensors, {"family": name, "config": json.dumps(config)})
    print(f"{path.name}: {path.stat().st_size} bytes")


@torch.no_grad()
def pairs() -> None:
    """Those that read a source and a target."""
    for family in (t5,):
        module, config = family()
        randomise(module)
        source, tokens = torch.randint(61, (2, 2, 17), generator=torch.Generator().manual_seed(1))
        source_lengths, lengths = torch.tensor([17, 6]), torch.tensor([11, 17])
        there, here = ((torch.arange(17)[None] < n[:, None]).long() for n in (source_lengths, lengths))
        logits: Tensor = module(source, there, decoder_input_ids=tokens, decoder_attention_mask=here).logits
        tensors = {f"weights.{name}": p.detach().contiguous() for name, p in module.named_parameters()}
        tensors |= {"source": source, "source_lengths": source_lengths, "tokens": tokens, "lengths": lengths}
        keep(family.__name__, config, tensors | {"logits": logits.contiguous()})


def bert() -> tuple[nn.Module, dict]:
    from transformers import BertConfig, BertForPreTraining

    config = dict(vocab=61, context=19, width=24, depth=2, heads=3, hidden=40, types=3, act="relu", eps=1e-4)
    theirs = BertConfig(
        vocab_size=61,
        max_position_embeddings=19,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        type_vocab_size=3,
        hidden_act="relu",
        layer_norm_eps=1e-4,
    )
    return BertForPreTraining(theirs), config


FAMILIES = {"gpt2": gpt2, "llama": llama, "bert": bert}
LOGITS = {"logits": "logits", "prediction_logits": "logits", "seq_relationship_logits": "logits.next_sentence"}


@torch.no_grad()
def main(names: list[str]) -> None:
    for name in names:
        module, config = FAMILIES[name]()
        randomise(module)
        generator = torch.Generator().manual_seed(1)
        tokens = torch.randint(61, (2, 17), generator=generator)
        lengths = torch.tensor([17, 11])
        inputs = {"attention_mask": (torch.arange(17)[None] < lengths[:, None]).long()}
        tensors = {f"weights.{name}": p.detach().contiguous() for name, p in module.named_parameters()}
        tensors |= {"tokens": tokens, "lengths": lengths}
        if "types" in config:
            tensors["types"] = torch.randint(config["types"], (2, 17), generator=generator)
            inputs["token_type_ids"] = tensors["types"]
        found: dict[str, Tensor] = module(tokens, **inputs)
        tensors |= {ours: found[theirs].contiguous() for theirs, ours in LOGITS.items() if theirs in found}
        keep(name, config, tensors)


if __name__ == "__main__":
    asked = sys.argv[1:] or [*FAMILIES, "t5"]
    main([name for name in asked if name in FAMILIES])
    if "t5" in asked:
        pairs()
