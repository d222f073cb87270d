"""Text as the data of a run: its tokenizer, its rows, what the finished model writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from weft.batch import Batch, Dataset, Tokenizer
from weft.data import (
    Blocks,
    DataSettings,
    LibraryTokenizer,
    Packed,
    Pairs,
    Prepared,
    asked_by,
    named_tokenizer,
    open_store,
    prepare,
    trained_before,
)
from weft.evaluate import (
    Score,
    bits_per_byte,
    check,
    counted_bytes,
    likelihood,
    ngram_nats,
    no_bytes,
    xz_bits_per_byte,
)
from weft.generate import Sampling
from weft.hub import Language, Stops, as_ours, load, read_language, write_model
from weft.models import Blueprint
from weft.nn import Encoder, Writer
from weft.recipes.account import Sample, write_samples
from weft.recipes.feed import Feed, Told
from weft.recipes.folder import TOKENS, Existing, text_settings
from weft.recipes.recipe import Recipe
from weft.recipes.translations import scored
from weft.training.watch import Watcher


@dataclass(frozen=True)
class TextFeed(Feed):
    """Rows of ids, of texts or of pairs of them."""

    recipe: Recipe
    blueprint: Blueprint
    prepared: Prepared
    language: Language
    train: Dataset[Batch]
    held_out: Dataset[Batch]
    notices: tuple[str, ...]
    headline = "nats_per_token"

    @property
    def digest(self) -> str:
        """See `Prepared`."""
        return self.prepared.digest

    def write(self, out: Path) -> None:
        """The tokenizer, and what else is said of text."""
        self.prepared.tokenizer.save(out)
        self.language.write(out)

    def save(self, tensors: Mapping[str, Tensor], out: Path) -> None:
        """See `write_model`."""
        write_model(tensors, self.blueprint, self.prepared.tokenizer, out)

    def figures(
        self, module: nn.Module, share: tuple[int, int], total: Callable[[Sequence[float]], list[float]]
    ) -> dict[str, float]:
        """Of `likelihood`."""
        objective = self.recipe.minimised
        size = counted_bytes(self.prepared.tokenizer, self.prepared.held_out_bytes, objective)
        return likelihood(module, self.held_out, objective, bytes=size, share=share, total=total).figures()

    def told(self, recipe: Recipe, out: Path, watch: Watcher, *, finished: bool) -> Told:
        """Baselines, samples and, of pairs, the metrics of what it writes."""
        why, writes = no_bytes(self.prepared.tokenizer, recipe.minimised), isinstance(self.blueprint.empty(), Writer)
        if not finished:
            return Told(no_bytes=why, writes=writes)
        baselines = _baselines(self.prepared, watch) if recipe.baselines and not why else {}
        metrics = _scored(recipe, self.prepared, out, watch)
        return Told(baselines, _samples(recipe, self.prepared, out) if writes else (), metrics, why, writes)

    def account(self) -> dict[str, Any]:
        """Documents, tokens and bytes."""
        prepared = self.prepared
        return {
            "documents": list(prepared.documents),
            "tokens": [prepared.train_tokens, prepared.held_out_tokens],
            "bytes_held_out": prepared.held_out_bytes,
            "vocabulary": prepared.tokenizer.vocab,
            "digest": prepared.digest,
        }

    def keep(self, out: Path) -> Feed:
        """The tokens move into the run's folder."""
        return replace(self, prepared=self.prepared.keep(out / TOKENS))

    def close(self) -> None:
        """See `Prepared.close`."""
        self.prepared.close()


def open_text(recipe: Recipe, found: Existing | None, out: Path, say: Callable[[str], None]) -> TextFeed:
    """The texts, prepared. found: the run that goes on; None: a new one, whose tokens lie in `out` until `keep`."""
    data = recipe.texts
    language = own_language(recipe) if found is None else found.language
    objective = recipe.minimised
    prepared = prepare(
        data,
        recipe.length,
        pairs=objective.pairs,
        tokenizer=language.tokenizer,
        begins=language.begins,
        kept=None if found is None else out / TOKENS,
        scratch=out,
        say=say,
    )
    try:
        held_out = objective.turn(prepared.held_out, prepared.tokenizer, 0)
        notices = (*prepared.notices, *_told(recipe, data, prepared))
        for text in notices:
            say(text)
        check(held_out, objective)
        train = objective.turn(prepared.train, prepared.tokenizer, recipe.train.seed)
        blueprint = recipe.fitted(objective.ids(prepared.tokenizer))
        return TextFeed(recipe, blueprint, prepared, language, train, held_out, notices)
    except BaseException:
        prepared.close()
        raise


def own_language(recipe: Recipe) -> Language:
    """What the model that the run begins with says of text; of a new one, the tokenizer that there is already."""
    if recipe.begin is None:
        return Language(_own_tokenizer(recipe), Stops(), {}, {})
    language = read_language(recipe.begin)
    if language.tokenizer is None:
        raise ValueError(f"{recipe.begin} has no tokenizer.json, so its weights say nothing of any text")
    return language


def _own_tokenizer(recipe: Recipe) -> Tokenizer | None:
    """The one in the folder that data.tokenizer names; None where it names a kind, one of which is to be trained."""
    tokenizer = named_tokenizer(recipe.texts.tokenizer, "data.tokenizer=")
    if not isinstance(tokenizer, LibraryTokenizer) or tokenizer.template is None:
        return tokenizer
    if tokenizer.begin == tokenizer.end or isinstance(recipe.model.empty(), Encoder):
        return as_ours(recipe.model, tokenizer)  # a new model reads and is prompted with what it is trained on
    return tokenizer


def _told(recipe: Recipe, data: DataSettings, prepared: Prepared) -> Iterator[str]:
    """What a person should know of figures to come, and of what is not saved."""
    asked, own = recipe.minimised.heads, recipe.model.empty()
    if isinstance(own, Encoder) and (beside := [head for head in asked if head not in own.heads]):
        yield (
            f"{recipe.model.family} has no head {' and no head '.join(beside)}: trained beside the model, it stays in "
            "the run's checkpoints and is no part of the saved model"
        )
    if why := no_bytes(prepared.tokenizer, recipe.minimised):
        yield why
    if recipe.begin is None or (parent := text_settings(recipe.begin)) is None:
        return
    now, kept = data, Path(parent.store) if parent.store else recipe.begin / TOKENS
    if prepared.store is not None and kept.is_dir() and (known := trained_before(prepared.store, open_store(kept))):
        yield (
            f"{known} of the {prepared.documents[1]} held-out documents are texts that {recipe.begin} was trained on, "
            "so the held-out figures flatter it: hold out texts that it has not seen"
        )
    for name, before, after in (("seed", parent.seed, now.seed), ("held_out", parent.held_out, now.held_out)):
        if before != after:
            yield (
                f"data.{name} was {before} when {recipe.begin} was trained and is {after} now, which holds out other "
                f"texts: where the texts are the same, it may be evaluated on what it was trained on; leave it out "
                "to hold out the same"
            )


def _scored(recipe: Recipe, prepared: Prepared, out: Path, watch: Watcher) -> dict[str, Score]:
    """The recipe's metrics of what the saved model writes of the held-out sources."""
    if not recipe.metrics or not isinstance(prepared.held_out, Pairs):
        return {}
    return scored(load(out), prepared.held_out, recipe.metrics, asked_by(recipe.texts), watch.notice)


def _samples(recipe: Recipe, prepared: Prepared, out: Path) -> tuple[Sample, ...]:
    """What the finished model, as it was saved, goes on with."""
    prompts = recipe.prompts or openings(prepared)
    return write_samples(load(out), prompts, Sampling(recipe.temperature), tokens=recipe.sample_tokens)


def openings(prepared: Prepared, count: int = 3) -> tuple[str, ...]:
    """A few lines of held-out text (sources, where the data are pairs), spread over it."""
    if isinstance(prepared.held_out, Pairs):
        lines = [source for source, _ in prepared.held_out.pairs]
    else:
        lines = [line for line in prepared.held_out_text.decode().split("\n") if line.strip()]
    chosen = [lines[len(lines) * part // count] for part in range(min(count, len(lines)))]
    return tuple(line[:60] for line in chosen)


def _baselines(prepared: Prepared, watch: Watcher) -> dict[str, float]:
    """Held-out bits per byte of an interpolated 5-gram over the same tokens, and of `xz -9` on the same bytes."""
    watch.notice("scoring the baselines on the same held-out text …")
    found = {"xz -9": xz_bits_per_byte(prepared.held_out_text)}
    if isinstance(prepared.train, Blocks | Packed) and isinstance(prepared.held_out, Blocks | Packed):
        nats = ngram_nats(prepared.train.tokens, prepared.held_out.tokens, prepared.tokenizer.vocab)
        found = {"interpolated 5-gram": bits_per_byte(nats, prepared.held_out_bytes)} | found
    return found
