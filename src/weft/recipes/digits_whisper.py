"""Sequences of spoken digits, written down by an encoder–decoder shaped as Whisper is: one speaker is never heard.

    weft train digits_whisper --data recordings.tar.gz --out runs/sequences
    weft transcribe sound.wav runs/sequences

Data: the recordings of the Free Spoken Digit Dataset, a folder or an archive of digit_speaker_index.wav. In each epoch
1 to 8 recordings of one speaker are joined anew, with silences between; yweweler is left out, and the word error rate
is of sequences of his. Rows are as long as a sequence, at most 8 seconds, of 50 frames a second.

Cost: 13 minutes of training on two cores are asked for. Expect a word error rate of about 10%.
"""

from weft.data.signals import SoundAugment, SpeechSettings
from weft.models import Blueprint
from weft.recipes.modality import DEBUG_STEPS
from weft.recipes.recipe import Recipe
from weft.training.settings import TrainSettings

recipe = Recipe(
    name="digits_whisper",
    model=Blueprint.of(
        "whisper", "debug", context=16, mels=40, frames=200, width=128, encoder_depth=4, decoder_depth=2, heads=4,
        decoder_heads=4, hidden=384, decoder_hidden=384, dropout=0.1,
    ),
    data=SpeechSettings(
        source="spoken_digits", held_out_speaker="yweweler", tokenizer="word", rate=8000, window=0.032, step=0.02,
        normalise=True, join=8, gap=0.3, alike=32,
        augment=SoundAugment(speed=0.2, volume=6, noise=0.5, warp=0.15, bands=2, band=8, spans=2, span=10),
    ),
    train=TrainSettings(
        minutes=13, batch=32, optimiser="muon", rate=4e-3, schedule="linear", floor=0.0, weight_decay=0.1, workers=1,
        checkpoint_every=500, log_every=20,
    ),
    debug=(*DEBUG_STEPS, ("data.source", "made_sounds"), ("data.held_out_speaker", "ben"), ("data.join", "2"),
           ("data.gap", "0.1")),
    story=__doc__ or "",
)  # fmt: skip
