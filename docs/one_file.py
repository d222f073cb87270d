"""A transformer on one page: the model, its data, its training, its evaluation, its sampling. Read it from the top.

    python docs/one_file.py                 # learns to write this very file, in a quarter of a minute
    python docs/one_file.py text.txt --steps 2000 --prompt "Once"

This is the decoder that most language models of today are variations of (LLaMA: Touvron et al. 2023): normalise before
each branch, rotate queries and keys by their place, let several query heads share one key/value head, gate the
feed-forward. Nothing here is fast or general; `weft` is. A test holds this page and the library's LLaMA equal, name by
name and number by number.

Shapes: B batch, T queries, S keys, D width, H heads, G key/value heads, K head width, V vocab.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# ---------------------------------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Config:
    vocab: int
    context: int = 128  # the longest row
    width: int = 128  # D, what every token is while it travels through the layers
    depth: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 352  # of the feed-forward: 8/3 of the width, so that three matrices cost what two of 4x would
    theta: float = 10000.0  # the slowest rotation takes about 2 pi theta places
    eps: float = 1e-5
    tied: bool = True  # the head reads the embedding's own weight


class RMSNorm(nn.Module):
    """x divided by its own size, times a learned weight (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rope(places: Tensor, head_width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle by which each pair of channels turns at each place (Su et al. 2021)."""
    speed = theta ** -(torch.arange(0, head_width, 2, device=places.device) / head_width)  # [K/2]
    angle = places[:, None, None] * speed  # [T,1,K/2], the same for every head
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn channel i together with channel i + K/2. A query and a key then meet at the difference of their places."""
    (x1, x2), (cos, sin) = x.chunk(2, -1), turn  # [B,T,H,K/2] twice
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)  # [B,T,H,K]


class Slot:
    """What one layer remembers of the tokens it has seen. The cache of a model is a list of them, and the caller's."""

    seen = 0  # tokens
    kv: Tensor | None = None  # [2,B,seen,G,K]: keys, already rotated, and values

    def extend(self, k: Tensor, v: Tensor) -> Tensor:
        kv = torch.stack([k, v])  # [2,B,T,G,K]
        self.kv = kv if self.kv is None else torch.cat([self.kv, kv], 2)  # [2,B,seen+T,G,K]
        self.seen = self.kv.shape[2]
        return self.kv


class Attention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.head_width, self.share = c.width // c.heads, c.heads // c.kv_heads  # K, H/G
        self.q, self.out = (nn.Linear(c.width, c.width, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(c.width, c.width // self.share, bias=False) for _ in range(2))

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], later: Tensor, slot: Slot | None = None) -> Tensor:
        q = rotate(self.q(x).unflatten(-1, (-1, self.head_width)), turn)  # [B,T,D] -> [B,T,H,K]
        k = rotate(self.k(x).unflatten(-1, (-1, self.head_width)), turn)  # [B,T,D] -> [B,T,G,K]
        v = self.v(x).unflatten(-1, (-1, self.head_width))  # [B,T,D] -> [B,T,G,K]
        if slot is not None:
            k, v = slot.extend(k, v)  # [B,S,G,K], S = all that was seen so far
        k, v = k.repeat_interleave(self.share, 2), v.repeat_interleave(self.share, 2)  # [B,S,H,K]
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / math.sqrt(self.head_width)  # [B,H,T,S]
        probs = scores.masked_fill(later, -torch.inf).softmax(-1)  # [B,H,T,S]
        z = probs @ v.transpose(1, 2)  # [B,H,T,K]
        return self.out(z.transpose(1, 2).flatten(-2))  # [B,T,H,K] -> [B,T,D]


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020): one half of the hidden layer decides how much of the other half passes."""

    def __init__(self, c: Config):
        super().__init__()
        self.gate = nn.Linear(c.width, c.hidden, bias=False)
        self.up = nn.Linear(c.width, c.hidden, bias=False)
        self.down = nn.Linear(c.hidden, c.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))  # [B,T,D] -> [B,T,hidden] -> [B,T,D]


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.attn_norm, self.attn = RMSNorm(c.width, c.eps), Attention(c)
        self.mlp_norm, self.mlp = RMSNorm(c.width, c.eps), MLP(c)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], later: Tensor, slot: Slot | None = None) -> Tensor:
        x = x + self.attn(self.attn_norm(x), turn, later, slot)  # tokens look at each other
        return x + self.mlp(self.mlp_norm(x))  # each token thinks for itself


class Transformer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        if c.width % (2 * c.heads) or c.heads % c.kv_heads:
            raise ValueError(f"width {c.width} must be a multiple of 2 · {c.heads} heads, and those of {c.kv_heads}")
        self.config = c
        self.embed = nn.Embedding(c.vocab, c.width)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.depth))
        self.norm = RMSNorm(c.width, c.eps)
        self.head = None if c.tied else nn.Linear(c.width, c.vocab, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:  # the two that write into the residual stream start smaller, the deeper the smaller
                writes = name.endswith(("attn.out.weight", "mlp.down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * c.depth) if writes else 0.02)

    def forward(self, tokens: Tensor, cache: list[Slot] | None = None) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]. With a cache, `tokens` continue what is in it."""
        seen = cache[0].seen if cache else 0
        places = torch.arange(seen + tokens.shape[1], device=tokens.device)  # [S]
        later = places > places[seen:, None]  # [T,S]: the future, which may not be looked at
        turn = rope(places[seen:], self.config.width // self.config.heads, self.config.theta)
        x = self.embed(tokens)  # [B,T] -> [B,T,D]
        for i, layer in enumerate(self.layers):
            x = layer(x, turn, later, cache[i] if cache else None)
        head = self.embed.weight if self.head is None else self.head.weight  # [V,D]
        return self.norm(x) @ head.T  # [B,T,D] -> [B,T,V]


# ---------------------------------------------------------------------------------------- data, training, evaluation


def batches(data: Tensor, batch: int, context: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows from random places of data [N], and the same rows one token further on: what each place has to predict."""
    random = torch.Generator().manual_seed(seed)
    while True:
        starts = torch.randint(len(data) - context, (batch, 1), generator=random)  # [B,1]
        rows = data[(starts + torch.arange(context + 1)).to(data.device)]  # [B,T+1]
        yield rows[:, :-1], rows[:, 1:]  # [B,T] each


def schedule(step: int, steps: int) -> float:
    """The share of the full learning rate: a short climb, then half a cosine down to a tenth."""
    warmup = max(1, min(100, steps // 10))
    if step < warmup:
        return (step + 1) / warmup
    return 0.55 + 0.45 * math.cos(math.pi * (step - warmup) / (steps - warmup))


def train(model: Transformer, data: Tensor, steps: int, batch: int, rate: float, seed: int) -> Iterator[Tensor]:
    """Yields the loss of each step, in nats per token, once the step is taken."""
    matrices, norms = ([weight for weight in model.parameters() if weight.ndim == n] for n in (2, 1))  # norms: no decay
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    for step, (tokens, labels) in zip(range(steps), batches(data, batch, model.config.context, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule(step, steps)
        loss = F.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())  # [B,T,V] -> [B*T,V]; [B,T] -> [B*T]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.detach()


@torch.no_grad()
def bits_per_byte(model: Transformer, data: Tensor, size: int) -> float:
    """Bits to predict each of data[1:] once, per byte of the `size` they stand for. No row sees the one before."""
    rows = zip(data[:-1].split(model.config.context), data[1:].split(model.config.context), strict=True)  # [T] each
    nats = sum(F.cross_entropy(model(row[None])[0], labels, reduction="sum").item() for row, labels in rows)
    return nats / math.log(2) / size


@torch.inference_mode()
def sample(model: Transformer, ids: list[int], count: int, temperature: float, top_k: int, seed: int) -> Iterator[int]:
    """`count` further tokens, one by one. The cache makes each cost one place, not the whole row again."""
    random, device = torch.Generator().manual_seed(seed), model.embed.weight.device
    cache, new, row = [Slot() for _ in model.layers], ids[-model.config.context :], list(ids)
    for _ in range(count):
        logits = model(torch.tensor([new], device=device), cache)[0, -1].cpu()  # [1,T] -> [1,T,V] -> [V]
        best, which = logits.topk(min(top_k, len(logits)))  # [top_k]
        probs = (best / max(temperature, 1e-6)).softmax(-1)  # [top_k]
        new = [int(which[torch.multinomial(probs, 1, generator=random)])]
        row += new
        yield new[0]
        if cache[0].seen == model.config.context:  # full: go on from its later half
            cache, new = [Slot() for _ in model.layers], row[-math.ceil(model.config.context / 2) :]


# ------------------------------------------------------------------------------------------------------- the program

OPTIONS = {"steps": 200, "batch": 8, "rate": 2e-3, "context": 128, "width": 128, "depth": 4, "prompt": "",
           "sample": 400, "temperature": 0.8, "top-k": 40, "seed": 0}  # fmt: skip


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small transformer on a text, then let it write.")
    parser.add_argument("text", nargs="?", type=Path, default=Path(__file__), help="default: this very program")
    for name, value in OPTIONS.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default: {value!r}")
    a = parser.parse_args()

    text = a.text.read_text(encoding="utf-8")
    characters = sorted(set(text))  # the tokens: each different character is one
    ids = {character: i for i, character in enumerate(characters)}
    cut = len(text) * 9 // 10  # the last tenth is held out;
    end = min(len(text), cut + 16_000)  # of a long text, as much of it as evaluates quickly
    if cut <= a.context:
        parser.error(f"{a.text} has {len(text)} characters, too few for a context of {a.context}")
    prompt = a.prompt or text[0]
    if strange := set(prompt) - ids.keys():
        parser.error(f"--prompt has {sorted(strange)}, but this model only knows the characters of {a.text}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = torch.tensor([ids[character] for character in text], device=device)  # [N]
    size = len(text[cut + 1 : end].encode())

    torch.manual_seed(a.seed)
    c = Config(len(characters), a.context, a.width, a.depth, hidden=math.ceil(a.width / 12) * 32)
    model = Transformer(c).to(device)
    weights = sum(weight.numel() for weight in model.parameters())
    print(f"\n  {paint(a.text.name, '1')} · {len(text):,} characters, {c.vocab} different · the last tenth held out")
    print(f"  depth {c.depth} · width {c.width} · {c.heads} heads on {c.kv_heads} · {weights:,} weights · {device}\n")
    print(paint("    step    loss   held out                              seconds", "2"))
    begun = time.perf_counter()
    for step, loss in enumerate(train(model, data[:cut], a.steps, a.batch, a.rate, a.seed), 1):
        if step % max(1, a.steps // 10) == 0 or step == a.steps:
            bits = bits_per_byte(model, data[cut:end], size)
            bar = paint(("━" * round(20 * bits / math.log2(c.vocab))).ljust(20), "36")  # full: no better than guessing
            print(f"  {step:6}  {loss.item():6.3f}   {bits:.2f} bits/byte  {bar}  {time.perf_counter() - begun:7.1f}")

    print(paint(f"\n  temperature {a.temperature}, the {a.top_k} likeliest characters\n", "2"))
    print(paint(prompt, "1"), end="")
    for i in sample(model, [ids[character] for character in prompt], a.sample, a.temperature, a.top_k, a.seed):
        print(characters[i], end="", flush=True)
    print()


if __name__ == "__main__":
    main()
