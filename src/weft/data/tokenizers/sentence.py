"""BPE on characters, as SentencePiece runs it (Sennrich et al. 2016; Kudo and Richardson 2018): LLaMA 1 and 2, Mistral,
Gemma."""

from collections.abc import Mapping
from typing import Any

from weft.data.tokenizers.library import Form, LibraryTokenizer, steps
from weft.data.tokenizers.spelling import BYTES, read_sentences
from weft.data.tokenizers.table import UNKNOWN


class SentencePairs(LibraryTokenizer):
    """Pairs of characters merged over whole texts, spaces written as "▁", bytes for what is not in the vocabulary. Only
    read: no such tokenizer is trained here.

    Lossy: "▁" and the space are one, and a text gets a space before it, which decoding takes away again.
    Ids that spell no UTF-8 are decoded with one U+FFFD for each run of bytes that cannot go on, as everywhere here; the
    reference's decoder writes one for each byte of such a run, and for the whole characters beside them too.
    """

    kind = "sentence-bpe"

    def _check(self, data: dict[str, Any]) -> Form:
        model = data["model"]
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            raise ValueError("its tokens have a prefix or suffix of their own: not a BPE as SentencePiece runs it")
        check_spaces(data)
        unknown = model.get("unk_token")
        if unknown is not None and unknown not in model["vocab"]:
            raise ValueError(f"its vocabulary lacks {unknown!r}, its unk_token")
        lacking = sorted(BYTES.keys() - model["vocab"].keys()) if model.get("byte_fallback") else [*BYTES]
        if lacking and unknown is None:
            raise ValueError(f"it has no unk_token, and its vocabulary lacks {lacking[0]}: unknown text would vanish")
        spelt = None if unknown is None else (model["vocab"][unknown], UNKNOWN.encode())
        return Form(lossless=False, cuttable=False, spell=read_sentences(data["decoder"]), unknown=spelt)


def check_spaces(data: Mapping[str, Any]) -> None:
    """ValueError unless spaces become "▁" in a way that is known: by Metaspace, alone or after WhitespaceSplit, or by a
    normalizer that replaces them."""
    cuts = steps(data["pre_tokenizer"], "pretokenizers")
    names = [cut["type"] for cut in cuts]
    if names and names[-1] == "Metaspace" and set(names[:-1]) <= {"WhitespaceSplit"}:
        return
    replaced = {"String": " "}
    normal = steps(data["normalizer"], "normalizers")
    replaces = any(step["type"] == "Replace" and step["pattern"] == replaced for step in normal)
    idle = [cut for cut in cuts if cut["type"] == "Split" and cut["pattern"] == replaced]  # there is no space left then
    if not replaces or len(idle) != len(cuts) or any(cut["behavior"] == "Removed" for cut in idle):
        raise ValueError(
            f"it cuts text by {', '.join(names) or None}: those of SentencePiece with Metaspace are known, alone "
            "or after WhitespaceSplit, or with a normalizer that replaces spaces"
        )
