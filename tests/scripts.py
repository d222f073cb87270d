"""Lines of text in many scripts, the same every time: from Unicode's ranges and from Babel's locale data."""

import random
import unicodedata
from functools import cache

import pytest

# First and last of ranges that are text in use: alphabets, syllables, ideographs, marks, symbols, emoji.
_RANGES = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7BF), (0x900, 0x97F), (0x980, 0x9FF),
    (0xA00, 0xA7F), (0xA80, 0xAFF), (0xB80, 0xBFF), (0xC00, 0xC7F), (0xC80, 0xCFF), (0xD00, 0xD7F), (0xD80, 0xDFF),
    (0xE00, 0xE7F), (0xE80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1400, 0x167F), (0x1780, 0x17FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF),
    (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2150, 0x218F), (0x2190, 0x21FF),
    (0x2200, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x257F), (0x2600, 0x27BF), (0x2E80, 0x2FDF), (0x3000, 0x303F),
    (0x3040, 0x309F), (0x30A0, 0x30FF), (0x3130, 0x318F), (0x3300, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xA48F),
    (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x10330, 0x1034F),
    (0x10400, 0x1044F), (0x12000, 0x123FF), (0x1D400, 0x1D7FF), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF),
    (0x20000, 0x2A6DF),
)  # fmt: skip
_HARD = (
    "", " ", "  ", "a", " a", "a ", "  a  b  ", "\t tabs\tand\r\nlines\n\n\n", "don't I'LL we've 's 'S ’s it's'",
    "3.14 1,000 007", "👩\u200d👩\u200d👧\u200d👦 🇬🇧🇫🇷 👍🏽", "e\u0301 é ﬁ ① ½ ﷺ", 
    "\u200b\u200d\ufeff\u2028\u2029\x00\x07\x85\xa0",
    "▁ ▁▁ ▁a", "<0x41> <0x0A>", "## ##a", "!!!???...---", "a" * 300, "ab" * 60, "ΟΔΥΣΣΕΥΣ ΣΑΣ", "İstanbul ıI ß ẞ",
    "<s> </s> <unk> <pad> [CLS] [SEP] [MASK] <|endoftext|> <|startoftext|> <extra_id_0>", "a b c\u3000d",
    "def f(x):\n    return x  # _under_score_", "https://example.org/a?b=c&d=%20",
)  # fmt: skip


@cache
def thousand() -> tuple[str, ...]:
    """1,000 lines: 600 of names in every language that Babel knows, others of one range or a mixture, some hard."""
    babel = pytest.importorskip("babel", reason="the lines are made of Babel's locale data")
    chance = random.Random(0)
    lines = [*_HARD]
    letters = [
        [chr(n) for n in range(a, b + 1) if unicodedata.category(chr(n)) not in ("Cn", "Cs")] for a, b in _RANGES
    ]
    for number in range(1000 - 600 - len(_HARD)):
        within = [chance.choice(letters)] if number % 3 else chance.sample(letters, 4)
        words = [
            "".join(chance.choices(chance.choice(within), k=chance.randint(1, 9))) for _ in range(chance.randint(1, 9))
        ]
        lines.append(chance.choice((" ", " ", "", ", ", "\n")).join(words))
    names = sorted(name for name in babel.localedata.locale_identifiers() if "_" not in name)
    for number in range(600):
        locale = babel.Locale.parse(names[number % len(names)])
        told = [*locale.territories.values(), *locale.languages.values(), *locale.months["format"]["wide"].values()]
        lines.append(chance.choice((" ", ", ", "; ")).join(chance.sample(told, min(len(told), chance.randint(1, 8)))))
    return tuple(lines)
