"""What a user holds: loading is strict, saving exact, and text comes out the same alone, in a batch or as a stream."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from commands import TINY, good
from parts import schemes

import weft
from weft.data import Bytes, Characters, train_tokenizer
from weft.files import read_header, read_json, read_tensors, write_json, write_tensors
from weft.generate import GREEDY, Sampling, beam_search, row_seeds
from weft.hub import USUAL, LoadError, Model, Stops, load, save
from weft.hub.score import score
from weft.models import FAMILIES, Blueprint, reading
from weft.nn import SCHEMES, LMHead, Writer
from weft.settings import to_data
from weft.training import checkpoints

NAMES = reading("text")
WRITERS = [name for name in NAMES if isinstance(Blueprint.of(name, "debug").empty(), Writer)]
DECODERS = [name for name in NAMES if FAMILIES.get(name).objective == "next_token"]
PROMPTS = ["a", "the weaver", "", "日本"]


@cache
def made(name: str, *changes: tuple[str, str]) -> Model:
    """A debug-sized model on bytes whose rows differ; shared, so left as it is."""
    blueprint = Blueprint.of(name, "debug").change("vocab", "384")
    for path, text in changes:
        blueprint = blueprint.change(path, text)
    module, generator = blueprint.build(seed=0), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            if parameter.dim() > 1:
                noise = torch.empty_like(parameter).normal_(std=0.3, generator=generator)
                parameter.add_(noise * (0.3 if "cross" in path else 1.0))
    return Model(module, blueprint, Bytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved decoder in weft's own layout, which its positions ask for, to be damaged."""
    save(made("llama", ("position", "alibi")), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Memory that nobody has written to holds NaN."""
    torch.use_deterministic_algorithms(True)  # fills what torch.empty and the like give out
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def weights(model: Model) -> dict[str, torch.Tensor]:
    return model.module.state_dict()


def edit(folder: Path, **changes: object) -> None:
    """Change the config in a saved model's description."""
    path = folder / "config.json"
    data = read_json(path)
    write_json(path, data | {"config": data["config"] | changes})


# ---------------------------------------------------------------- saving and loading


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_is_read_back_whole_and_saved_again_to_the_same_bytes(name: str, tmp_path: Path):
    model = made(name)
    save(model, tmp_path / "one")
    again = load(tmp_path / "one")
    save(again, tmp_path / "two")
    assert again.blueprint == model.blueprint and not again.module.training and not again.notices
    assert weights(again).keys() == weights(model).keys()
    assert all(torch.equal(tensor, weights(model)[key]) for key, tensor in weights(again).items())
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    tokens = torch.arange(24).view(2, 12)
    inputs = (tokens, tokens[:, :5]) if model.translates else (tokens,)
    assert torch.equal(again.logits(*inputs), model.logits(*inputs))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_model_with_another_position_scheme_is_read_back_with_it(scheme: str, tmp_path: Path):
    model = made("llama", ("position", scheme))
    save(model, tmp_path)
    again = load(tmp_path)
    assert again.blueprint == (made("llama").blueprint if scheme == "rope" else model.blueprint)  # its own is no swap
    assert torch.equal(again.logits(torch.arange(9)[None]), model.logits(torch.arange(9)[None]))


def test_the_public_names_are_the_hubs(tmp_path: Path):
    weft.save(made("llama"), tmp_path)
    assert isinstance(weft.load(str(tmp_path)), weft.Model)
    assert weft.load_tokenizer(tmp_path).vocab == 384
    assert issubclass(weft.LoadError, ValueError) and weft.Sampling is Sampling


@pytest.mark.parametrize("tied", ["true", "false"])
@pytest.mark.parametrize("name", NAMES)
def test_a_tied_head_is_one_copy_on_disk_an_untied_one_its_own(name: str, tied: str, tmp_path: Path):
    if "tied" not in to_data(Blueprint.of(name, "debug").config):
        pytest.skip("its head is its own")
    model = made(name, ("tied", tied))
    save(model, tmp_path)
    shape = tuple(model.module.get_parameter("embed.weight").shape)
    tables = [key for key, entry in read_header(tmp_path / "model.safetensors").entries.items() if entry.shape == shape]
    assert len(tables) in ((1,) if tied == "true" else (2, 3))  # 3: the source's, the target's and the output's
    module = load(tmp_path).module
    x, table = torch.randn(1, 2, model.config.width), module.get_parameter("embed.weight")
    for part in module.modules():
        if isinstance(part, LMHead):
            part.softcap = None  # capped scores do not double
    with torch.no_grad():
        before = module.logits(x)  # type: ignore[operator]
        table.mul_(2)
        after = module.logits(x)  # type: ignore[operator]
    torch.testing.assert_close(after, 2 * before if tied == "true" else before)


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_left_as_memory_happened_to_be(name: str, tmp_path: Path, poisoned: None):
    blueprint = Blueprint.of(name, "debug")
    for scheme in schemes(name):
        model = Model(blueprint.change("position", scheme).build(seed=3), blueprint.change("position", scheme))
        save(model, tmp_path / scheme)
        for tensors in (model.module.state_dict(), load(tmp_path / scheme).module.state_dict()):
            assert all(bool(tensor.isfinite().all()) for tensor in tensors.values()), scheme


def test_loading_does_not_move_the_random_numbers(folder: Path):
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mapped_model_outlives_what_it_is_mapped_from(folder: Path):
    model = load(folder)
    before = {key: tensor.clone() for key, tensor in weights(model).items()}
    with torch.no_grad():
        model.module.get_parameter("stack.norm.weight").mul_(2)  # a private map: the file does not see it
    assert torch.equal(load(folder).module.get_parameter("stack.norm.weight"), before["stack.norm.weight"])
    save(model, folder)  # over itself
    (folder / "model.safetensors").unlink()
    before["stack.norm.weight"] *= 2
    assert all(torch.equal(tensor, before[key]) for key, tensor in weights(model).items())


def test_a_model_without_a_tokenizer_reads_ids_only(tmp_path: Path):
    save(replace(made("gpt2"), tokenizer=None), tmp_path)
    model = load(tmp_path)
    assert model.tokenizer is None and model.logits(torch.tensor([[1, 2]])).shape == (1, 2, 384)
    for ask in (model.generate, model.stream):
        with pytest.raises(ValueError, match="no tokenizer.json"):
            ask("a")


# ---------------------------------------------------------------- what is refused


def test_a_missing_and_an_unexpected_tensor_are_named(folder: Path):
    path = folder / "model.safetensors"
    tensors = read_tensors(path)
    tensors["stack.norm.wait"] = tensors.pop("stack.norm.weight").clone()
    write_tensors(path, tensors)
    with pytest.raises(LoadError, match=r"lacks stack\.norm\.weight and has stack\.norm\.wait, which the model"):
        load(folder)


def test_many_missing_tensors_are_counted(folder: Path):
    write_tensors(folder / "model.safetensors", {})
    with pytest.raises(
        LoadError, match=r"lacks embed\.weight, .* and \d+ more: config.json, which makes it a model of"
    ):
        load(folder)


@pytest.mark.parametrize("shape", [(384,), (384, 47), (48, 384), (1, 384, 48)])
def test_a_misshapen_tensor_is_named_with_both_shapes(shape: tuple[int, ...], folder: Path):
    path = folder / "model.safetensors"
    write_tensors(path, read_tensors(path) | {"embed.weight": torch.zeros(shape)})
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert f"embed.weight is {list(shape)}, config.json makes it [384, 48]" in str(caught.value)


@pytest.mark.parametrize(
    "damage, fragment",
    [
        (lambda data: b"", "has 0 bytes"),
        (lambda data: data[:7], "has 7 bytes"),
        (lambda data: data[:200], "header"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data + b"\0", "1 bytes follow"),
        (lambda data: data[:8] + b"\xff" + data[9:], "not UTF-8"),
        (lambda data: data.replace(b"F32", b"X32", 1), "unknown dtype 'X32'"),
    ],
)
def test_damaged_weights_are_refused(damage, fragment: str, folder: Path):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert str(path) in str(caught.value) and fragment in str(caught.value)


@pytest.mark.parametrize(
    "changes, fragment",
    [
        ({"width": 0}, "width = 0, but it must be between 1 and"),
        ({"width": -48}, "width = -48"),
        ({"width": "48"}, "Llama.width is a whole number, not '48'"),
        ({"heads": 5}, "5 heads do not divide the width 48"),
        ({"kv_heads": 3}, "3 key/value heads do not divide 4 heads"),
        ({"depth": 10**12}, "depth = 1000000000000"),
        ({"depth": 3}, "lacks stack.layers.2"),
        ({"wdith": 48}, "no setting 'wdith'; did you mean 'width'?"),
        ({"tied": True}, "has head.weight, which the model does not"),
        ({"vocab": 256}, "[384, 48], config.json makes it [256, 48]"),
    ],
)
def test_a_config_that_is_not_these_weights_is_refused(changes: dict[str, object], fragment: str, folder: Path):
    edit(folder, **changes)
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert fragment in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "changes, fragment",
    [
        ({"family": "lama"}, "no family is called 'lama'; did you mean 'llama'?"),
        ({"family": ["llama"]}, "config.json"),
        ({"family": None}, "config.json"),
        ({"config": []}, "config.json"),
        ({"parts": []}, "config.json"),
        ({"parts": {}}, "config.json"),
        ({"parts": {"position": 5}}, "config.json"),
        ({"parts": {"position": {"name": ["rope"]}, "attention": None}}, "config.json"),
        ({"parts": {"position": {"name": "rop"}, "attention": None}}, "did you mean 'rope'?"),
        ({"parts": {"position": None, "attention": {"name": "windo"}}}, "did you mean 'window'?"),
        ({"model_type": "gpt2"}, "is not understood for model_type 'gpt2'"),
        ({"auto_map": {"AutoModel": "evil.py"}}, "auto_map"),
    ],
)
def test_a_description_of_nothing_we_build_is_refused(changes: dict[str, object], fragment: str, folder: Path):
    path = folder / "config.json"
    path.write_text(json.dumps(read_json(path) | changes))
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert fragment in str(caught.value) and str(caught.value).count(str(path)) == 1


def test_a_tokenizer_with_more_ids_than_the_embedding_is_refused(folder: Path):
    Characters.train(["".join(map(chr, range(500, 900)))], 0).save(folder)
    with pytest.raises(LoadError, match="the tokenizer has 401 ids, the model's embedding 384"):
        load(folder)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"weft": "nope"}', b'{"weft": "characters"}', b"\xff"], ids=repr)
def test_a_damaged_tokenizer_is_named(data: bytes, folder: Path):
    (folder / "tokenizer.json").write_bytes(data)
    with pytest.raises(LoadError) as caught:
        load(folder)
    assert str(caught.value).count(str(folder / "tokenizer.json")) == 1


def test_folders_that_hold_no_model_say_what_is_missing(folder: Path, tmp_path: Path):
    with pytest.raises(LoadError, match="is not a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(LoadError, match=r"config\.json is missing"):
        load(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        LoadError, match=r"model\.safetensors is missing: there are no weights in this folder, and no checkpoint"
    ):
        load(folder)


def test_an_unfinished_run_gives_its_newest_good_checkpoint_and_says_so(tmp_path: Path):
    out = tmp_path / "run"
    good("train", "llama", "--out", out, *TINY, "--set", "train.checkpoint_every=1")
    whole = load(out)
    (out / "model.safetensors").unlink()
    newest, older = checkpoints.steps(out / checkpoints.FOLDER)
    last = load(out)
    assert last.notices == (f"{out} is not finished: this is its checkpoint of step 2",)
    assert all(torch.equal(tensor, weights(whole)[key]) for key, tensor in weights(last).items())
    (newest / "optimiser.safetensors").unlink()
    earlier = load(out)
    assert f"checkpoint {newest.name} is refused" in earlier.notices[0] and "of step 1" in earlier.notices[-1]
    (older / "state.json").write_text("{}")
    with pytest.raises(LoadError, match="no checkpoint in .* is good"):
        load(out)


# ---------------------------------------------------------------- what a model says


@pytest.mark.parametrize("name", DECODERS)
def test_logits_of_ragged_rows_are_those_of_the_rows_alone(name: str):
    model, lengths = made(name), torch.tensor([9, 1, 5])
    tokens = torch.randint(384, (3, 9))
    together = model.logits(tokens, lengths=lengths)
    assert torch.equal(model.logits(tokens, lengths), together)
    for row, length in enumerate(lengths.tolist()):
        alone = model.logits(tokens[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=1e-5, atol=1e-5)


def test_logits_of_ragged_pairs_are_those_of_the_pairs_alone():
    model, lengths, sources = made("transformer"), torch.tensor([4, 7]), torch.tensor([9, 2])
    source, target = torch.randint(384, (2, 9)), torch.randint(384, (2, 7))
    together = model.logits(source, target, lengths=lengths, source_lengths=sources)
    for row, (length, width) in enumerate(zip(lengths.tolist(), sources.tolist(), strict=True)):
        alone = model.logits(source[row : row + 1, :width], target[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_in_training_is_asked_in_evaluation_mode(name: str, tmp_path: Path):
    model = made(name, ("dropout", "0.5"))
    tokens = torch.arange(12)[None]
    inputs = (tokens, tokens) if model.translates else (tokens,)
    (tmp_path / "a.tsv").write_text("text\tTexte\none\teins\n")  # two pairs, or a header and one text
    expected, scored = model.logits(*inputs), score(model, (str(tmp_path / "a.tsv"),)).nats
    model.module.train()
    assert torch.equal(model.logits(*inputs), expected)
    assert score(model, (str(tmp_path / "a.tsv"),)).nats == scored
    assert model.module.training
    model.module.eval()


def test_logits_want_a_target_where_there_is_a_source_and_only_there():
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="takes a source and a target"):
        made("transformer").logits(tokens)
    with pytest.raises(ValueError, match="target is given, but a model of family 'llama'"):
        made("llama").logits(tokens, tokens)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(1.3, top_k=90, top_p=0.9)], ids=["greedy", "drawn"])
@pytest.mark.parametrize("name", WRITERS)
def test_streamed_text_is_the_text_written_at_once(name: str, sampling: Sampling):
    model = made(name)
    for seed, prompt in enumerate(PROMPTS):
        own = replace(sampling, seed=seed)
        assert "".join(model.stream(prompt, own, tokens=30)) == model.generate(prompt, own, tokens=30).text


def test_what_is_said_when_nothing_is_asked_for_is_drawn():
    model = made("llama")
    assert model.generate("a", tokens=20).ids == model.generate("a", Sampling(temperature=0.8), tokens=20).ids
    assert model.generate("a", tokens=20).text == "".join(model.stream("a", tokens=20))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", WRITERS)
def test_prompts_in_a_batch_get_what_each_gets_alone(name: str, beams: int):
    model = made(name)
    together = model.generate_all(PROMPTS, GREEDY, tokens=12, beams=beams)
    for prompt, row in zip(PROMPTS, together, strict=True):
        alone = model.generate(prompt, GREEDY, tokens=12, beams=beams)
        assert (alone.text, alone.ids, alone.reason) == (row.text, row.ids, row.reason)
        assert alone.logprob == pytest.approx(row.logprob, abs=1e-4)


def test_drawn_rows_have_seeds_of_their_own_and_the_first_is_the_single_one():
    model, sampling = made("llama"), Sampling(temperature=1.5, seed=4)
    rows = model.generate_all(["a"] * 3, sampling, tokens=20)
    assert len({row.ids for row in rows}) == 3
    assert model.generate("a", sampling, tokens=20).ids == rows[0].ids
    second = replace(sampling, seed=(row_seeds(4, 3)[1],))
    assert model.generate("a", second, tokens=20).ids == rows[1].ids


def test_text_ends_at_the_context_and_the_reason_says_so():
    model = made("gpt2")
    found = model.generate("x" * 60, GREEDY, tokens=30)
    assert found.reason in ("context", "end") and len(found.ids) <= 3
    full = model.generate("x" * 63, tokens=30)
    assert (full.text, full.ids, full.reason) == ("", (), "context")
    with pytest.raises(ValueError, match=r"has 65 tokens, the context 64: shorten it"):
        model.generate("x" * 64)


def test_a_source_longer_than_the_context_is_refused_though_its_positions_could_be_placed():
    model = made("transformer")
    assert model.generate("x" * 63, tokens=1).ids
    for ask in (model.generate, model.stream):
        with pytest.raises(ValueError, match=r"the source has 65 tokens, the context 64: shorten it"):
            ask("x" * 64)


@pytest.mark.parametrize("name", WRITERS)
def test_what_a_lossy_tokenizer_goes_on_with_is_joined_to_its_prompt(name: str):
    words = train_tokenizer("word", ["the weaver mends the red thread at dawn"])
    blueprint = Blueprint.of(name, "debug").change("vocab", str(words.vocab))
    model, prompt = Model(blueprint.build(seed=0), blueprint, words), "the red"
    before = () if model.translates else words.encode(prompt)
    found = [model.generate(prompt, Sampling(seed=seed), tokens=6) for seed in range(5)]
    found.append(model.generate(prompt, tokens=6, beams=3))
    for written in found:
        assert ("" if model.translates else prompt) + written.text == words.decode([*before, *written.ids])
    assert any(" " in written.text.strip() for written in found)
    for seed, written in enumerate(found[:5]):
        assert "".join(model.stream(prompt, Sampling(seed=seed), tokens=6)) == written.text


def test_beams_draw_nothing_so_a_sampling_beside_them_is_refused():
    model = made("llama")
    for ask in (Sampling(0.5, top_k=4), Sampling(seed=3), USUAL):
        with pytest.raises(ValueError, match=r"beams = 3 search .* and draw nothing, so Sampling\(temperature="):
            model.generate("a", ask, tokens=2, beams=3)
    assert model.generate("a", tokens=2, beams=3) == model.generate("a", GREEDY, tokens=2, beams=3)
    assert model.generate("a", tokens=9) == model.generate("a", USUAL, tokens=9)


@pytest.mark.parametrize("tokens", [0, -1])
def test_no_tokens_are_refused_before_the_first_piece(tokens: int):
    for ask in (made("llama").generate, made("llama").stream):
        with pytest.raises(ValueError, match=f"tokens = {tokens}, but it must be at least 1"):
            ask("a", tokens=tokens)


@pytest.mark.parametrize("beams", [0, -1, 10**9])
def test_beams_that_cannot_be_are_refused(beams: int):
    with pytest.raises(ValueError, match=f"beams = {beams}, but"):
        made("llama").generate("a", beams=beams)


def test_beams_are_searched_for_as_they_say():
    model, settings = made("llama"), weft.Beams(3, length_penalty=2.0, early_stopping="always")
    found = model.generate("a", tokens=6, beams=settings)
    ids = model.need_tokenizer().encode("a")
    how = dict(width=3, alpha=2.0, early_stopping="always", new=6, stop=[1], start=1)
    ((wanted,),) = beam_search(model.module, [[1, *ids]], **how)
    assert (found.ids, found.score, found.logprob) == (wanted.ids, wanted.score, wanted.logprob)
    assert found.score == settings.score(found.logprob, len(found.ids))
    assert model.generate("a", tokens=6, beams=3) == model.generate("a", tokens=6, beams=weft.Beams(3))
    assert model.generate("a", tokens=6).score is None


@pytest.mark.parametrize("name", WRITERS)
def test_ids_are_a_prompt_as_they_are(name: str):
    model, end = made(name), Bytes().end
    ids = Bytes().encode("the")
    given = [*ids, end] if model.translates else [end, *ids]
    assert model.generate(given, GREEDY, tokens=5) == model.generate("the", GREEDY, tokens=5)
    assert "".join(model.stream(given, GREEDY, tokens=5)) == model.generate("the", GREEDY, tokens=5).text
    with pytest.raises(ValueError, match="prompt 0: 999, at place 1, is no id"):
        model.generate([1, 999], tokens=5)


def test_what_a_folder_asks_of_generation_and_does_not_get_is_said(tmp_path: Path):
    save(made("llama"), tmp_path / "model")
    asked = {
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.9,
        "num_beams": 4,
        "length_penalty": 2.0,
        "min_length": 5,
    }
    asked |= {"early_stopping": True, "repetition_penalty": 1.1, "no_repeat_ngram_size": 3, "top_k": 50, "min_p": None}
    write_json(
        tmp_path / "model" / "generation_config.json", asked | {"eos_token_id": 1, "use_cache": True, "novel": 1}
    )
    assert load(tmp_path / "model").notices == (
        "the folder suggests do_sample = True, temperature = 0.6, top_p = 0.9, num_beams = 4, length_penalty = 2.0, "
        "early_stopping = True: generate takes only what it is called with",
        "the folder asks for min_length, repetition_penalty, no_repeat_ngram_size, novel, which generate does not do: "
        "its tokens will differ",
    )


# ---------------------------------------------------------------- the score of a file


def test_the_score_of_a_file_is_what_the_logits_say(tmp_path: Path):
    text, model = "the weaver mends the red thread. " * 5, made("llama")
    (tmp_path / "a.txt").write_text(text)
    spelt, end = Bytes().encode, Bytes().end
    ids = [end, *spelt(text), end]
    nats = 0.0
    for start in range(0, len(ids) - 1, 64):
        row = ids[start : start + 65]
        scores = model.logits(torch.tensor([row[:-1]]))[0].log_softmax(-1).detach()
        nats -= float(scores[range(len(row) - 1), row[1:]].sum())
    for batch in (1, 2, 16):
        found = score(model, (str(tmp_path / "a.txt"),), batch=batch)
        assert (found.tokens, found.bytes) == (len(text) + 1, len(text))
        assert found.nats == pytest.approx(nats, rel=1e-5)
        assert found.bits_per_byte == pytest.approx(nats / math.log(2) / len(text), rel=1e-5)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_a_lossy_tokenizer_has_no_bits_per_byte(kind: str, name: str, tmp_path: Path):
    (tmp_path / "a.tsv").write_text("the Weaver\tthe STRANGER mends\none\tmends the weaver\n")
    tokenizer = train_tokenizer(kind, ["the weaver mends the red thread"], 200)
    blueprint = Blueprint.of(name, "debug").change("vocab", str(tokenizer.vocab))
    said: list[str] = []
    model = Model(blueprint.build(seed=0), blueprint, tokenizer)
    found = score(
        model, (str(tmp_path / "a.tsv"),), column="text" if model.translates else "the Weaver", say=said.append
    )
    assert found.figures().keys() == {"nats_per_token", "perplexity", "tokens"}
    assert (found.bytes, found.bits_per_byte) == (None, None) and found.nats_per_token > 0
    assert sum("no bits per byte: the tokenizer is lossy" in text for text in said) == 1


def test_isolated_documents_are_scored_as_if_each_stood_alone(tmp_path: Path):
    texts, model = ["the weaver", "mends", "the red thread"], made("llama")
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    alone = [score(model, (str(tmp_path / f"{number}.txt"),)).nats for number in range(len(texts))]
    together = score(model, (str(tmp_path),), how="isolate")
    assert together.nats == pytest.approx(sum(alone), rel=1e-5)
    assert abs(score(model, (str(tmp_path),)).nats - sum(alone)) > 0.1


@pytest.mark.parametrize("paths", [("",), ("a.tsv", "")])
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_path_is_not_this_folder(name: str, paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path):
    (tmp_path / "a.tsv").write_text("one\teins\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"one of the paths is empty \(''\): name a file"):
        score(made(name), paths)


@pytest.mark.parametrize("stops", [Stops(), Stops(start=7), Stops(start=7, forced=9)])
def test_the_score_of_pairs_is_what_the_logits_say(stops: Stops, tmp_path: Path):
    """Behind what every target begins with: a forced token is given, as it is in generation, and not asked for."""
    pairs, model = [("one", "eins"), ("twenty", "zwanzig"), ("x" * 70, "y")], replace(made("transformer"), stops=stops)
    (tmp_path / "a.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    spelt, end = Bytes().encode, Bytes().end
    before = [end if stops.start is None else stops.start] + ([] if stops.forced is None else [stops.forced])
    nats = 0.0
    for source, target in pairs[:2]:
        scores = model.logits(torch.tensor([[*spelt(source), end]]), torch.tensor([[*before, *spelt(target)]]))
        asked = scores[0, len(before) - 1 :].detach().log_softmax(-1)  # [T, V]
        nats -= float(asked[range(len(target) + 1), [*spelt(target), end]].sum())
    said: list[str] = []
    found = score(model, (str(tmp_path / "a.tsv"),), say=said.append)
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert (found.tokens, found.bytes) == (4 + 7 + 2, 11)
    assert said == ["1 pairs are longer than the context of 64 tokens and were left out"]
