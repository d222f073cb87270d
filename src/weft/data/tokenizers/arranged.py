"""What classes of the reference library make of a SentencePiece model: which ids its pieces have, what is done to text
before, and what stands around ids.

Ids are those of SentencePiece itself, which the models were trained with, behind the class's own steps. Version 5 of
the reference leaves SentencePiece's normalisation out for some of these classes (DebertaV2Tokenizer, MBartTokenizer),
and ALBERT's taking apart of digits and commas, so that some texts have other ids there than in training. So have, in
all its versions, SigLIP's texts that begin with a space or with punctuation: it keeps an empty word there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from weft.data.tokenizers.form import special_token
from weft.data.tokenizers.specials import Said
from weft.data.tokenizers.spm import SentencePieces, translated

Steps = list[dict[str, Any]]
_FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
_SPARE = ("<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{number}>" for number in range(2, 103)))
# fmt: off
_LANGUAGES = (
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX", "kk_KZ",
    "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN",
)
_MORE_LANGUAGES = (  # of mBART-50
    "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN", "mn_MN", "mr_IN",
    "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES",
    "sl_SI",
)
# fmt: on


@dataclass(frozen=True)
class Arrangement:
    """A class's way with a model.

    first, skip, last: special tokens in place of the model's first `skip` pieces, and behind its last.
    missing:           special tokens that come behind the last where no file names them, and no piece is.
    before:            steps on text before SentencePiece's own.
    score:             of a piece, in place of its own.
    single, pair:      what stands around one text and two, as TemplateProcessing writes it; LANGUAGE: `src_lang`.
    """

    single: str
    pair: str
    first: tuple[str, ...] = ()
    skip: int = 0
    last: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    before: Callable[[Said], Steps] = lambda said: []
    score: Callable[[str, float], float] = lambda name, score: score


def _made_plain(said: Said) -> Steps:
    """Quotes made plain, spaces made one, accents and upper case taken away."""
    told = said.config
    steps: Steps = [
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
        {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
    ]
    if not told.get("keep_accents", False):
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    return steps + ([{"type": "Lowercase"}] if told.get("do_lower_case", True) else [])


def _apart(name: str, score: float) -> float:
    """A piece of a digit and a comma is taken where nothing else can be: the authors' code takes them apart."""
    return score - 100 if len(name) > 1 and name[-1] == "," and name[-2].isdigit() else score


def _lower_case(said: Said) -> Steps:
    if said.config.get("split_by_punct", False):
        raise ValueError("tokenizer_config.json says split_by_punct, which is not known here")
    return [{"type": "Lowercase"}] if said.config.get("do_lower_case", False) else []


def _made_canonical(said: Said) -> Steps:
    """Lower case, no punctuation of ASCII's, spaces made one and taken from the edges."""
    steps: Steps = [{"type": "Lowercase"}] if said.config.get("do_lower_case", True) else []
    return [
        *steps,
        {"type": "Replace", "pattern": {"Regex": r"[!-/:-@\[-`{-~]"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True},
    ]


ARRANGED: Mapping[str, Arrangement] = {
    "XLMRobertaTokenizer": Arrangement(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", first=_FAIRSEQ, skip=3, last=("<mask>",)
    ),
    "MBartTokenizer": Arrangement(
        "$A </s> LANGUAGE", "$A $B </s> LANGUAGE", first=_FAIRSEQ, skip=3, last=(*_LANGUAGES, "<mask>")
    ),
    "MBart50Tokenizer": Arrangement(
        "LANGUAGE $A </s>",
        "LANGUAGE $A $B </s>",
        first=_FAIRSEQ,
        skip=3,
        last=(*_LANGUAGES, *_MORE_LANGUAGES, "<mask>"),
    ),
    "PegasusTokenizer": Arrangement("$A </s>", "$A $B </s>", first=_SPARE, skip=2),
    "AlbertTokenizer": Arrangement(
        "[CLS] $A [SEP]", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", before=_made_plain, score=_apart
    ),
    "DebertaV2Tokenizer": Arrangement(
        "[CLS] $A [SEP]", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", missing=("[MASK]",), before=_lower_case
    ),
    "SiglipTokenizer": Arrangement("$A </s>", "$A </s> $B </s>", before=_made_canonical),
}


def arrange(model: SentencePieces, how: Arrangement, said: Said) -> dict[str, Any]:
    """The tokenizer in the tokenizers library's form. ValueError where it does not fit the class."""
    data = translated(model)
    if data["model"]["type"] != "Unigram":
        raise ValueError("the model is a BPE, and the class says that it is a unigram")
    told = data["model"]["vocab"]
    kept = [[name, how.score(name, score)] for name, score in told[how.skip :]]
    pieces = [[name, 0.0] for name in how.first if name not in {name for name, _ in kept}] + kept
    there = {name for name, _ in pieces} | {token["content"] for token in said.added}
    extra = [*how.last, *(name for name in how.missing if name not in there)]
    pieces += [[name, 0.0] for name in extra]
    numbers = {name: number for number, (name, _) in enumerate(pieces)}
    if len(numbers) < len(pieces):
        raise ValueError("a piece of the model has the name of a special token of the class")
    special = {token["content"] for token in data["added_tokens"]} | {*how.first, *extra}
    data["model"] |= {"vocab": pieces, "unk_id": numbers[told[data["model"]["unk_id"]][0]]}
    data["added_tokens"] = [special_token(name, number) for name, number in numbers.items() if name in special]
    data["normalizer"]["normalizers"] = how.before(said) + data["normalizer"]["normalizers"]
    ids = numbers | {token["content"]: token["id"] for token in said.added}
    return data | {"post_processor": _template(how, ids, said.config.get("src_lang") or "en_XX")}


def _template(how: Arrangement, ids: Mapping[str, int], language: str) -> dict[str, Any]:
    """TemplateProcessing of a class. ValueError for a language, or another token, that there is not."""
    used = dict[str, dict[str, Any]]()

    def parts(text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for word in text.replace("LANGUAGE", language).split():
            name, _, kind = word.partition(":")
            if name.startswith("$"):
                found.append({"Sequence": {"id": name[1:], "type_id": int(kind or 0)}})
                continue
            if name not in ids:
                raise ValueError(f"{name!r} stands around texts, and is no token of the vocabulary")
            found.append({"SpecialToken": {"id": name, "type_id": int(kind or 0)}})
            used[name] = {"id": name, "ids": [ids[name]], "tokens": [name]}
        return found

    single, pair = parts(how.single), parts(how.pair)
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": used}
