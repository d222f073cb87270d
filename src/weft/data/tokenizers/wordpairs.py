"""BPE on the characters of words, whose last piece ends with a suffix (Sennrich et al. 2016): GPT-1."""

from typing import Any

from weft.data.tokenizers.library import Form, LibraryTokenizer
from weft.data.tokenizers.specials import ENDS
from weft.data.tokenizers.spelling import Spelt
from weft.data.tokenizers.table import UNKNOWN, utf8


class WordPairs(LibraryTokenizer):
    """Pairs of characters merged within words, the last of which ends with "</w>". Only read.

    Lossy: text is normalised as BERT's is (lower case, no accents) and cut into words, each decoded with a space after
    it, except at the end; an unknown character is decoded as U+FFFD. What the authors' code does before, where ftfy and
    spaCy are installed, is left out, as in the reference.
    """

    kind = "word-pairs"
    ends = (*ENDS, "<unk>")  # GPT-1 has no other special token: what is unknown parts its documents too

    def _check(self, data: dict[str, Any]) -> Form:
        model, end, unknown = data["model"], data["model"].get("end_of_word_suffix"), data["model"].get("unk_token")
        cut, decoder = (data[part] or {} for part in ("pre_tokenizer", "decoder"))
        if not end or model.get("continuing_subword_prefix") or model.get("byte_fallback"):
            raise ValueError("its tokens have a prefix of their own, or byte_fallback: not a BPE of words")
        if cut.get("type") != "BertPreTokenizer" or (decoder.get("type"), decoder.get("suffix")) != ("BPEDecoder", end):
            raise ValueError(
                f"it cuts text by {cut.get('type')} and decodes by {decoder.get('type')}: of BPE with {end} those with "
                "BertPreTokenizer and BPEDecoder are known"
            )
        if unknown not in model["vocab"]:
            raise ValueError(f"its vocabulary lacks {unknown!r}, its unk_token: unknown text would vanish")

        def spelt(token: str) -> Spelt:
            piece = utf8(token.removesuffix(end))
            return Spelt(piece + b" ", last=piece) if token.endswith(end) else Spelt(piece)

        spell = (model["vocab"][unknown], UNKNOWN.encode())
        return Form(lossless=False, cuttable=False, spell=spelt, unknown=spell)
