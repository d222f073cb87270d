"""weft's own metrics, registered."""

from collections.abc import Sequence

from weft.evaluate import answers, bleu, calibration, classify, edits, regress
from weft.evaluate.entities import by_places, entity_scores, equal_tokens, iob2_chunks, token_accuracy
from weft.evaluate.metric import METRICS, Metric, mean_of, ratio_of


def _exact(predicted: Sequence[str], gold: Sequence[Sequence[str]]) -> float:
    return answers.squad(predicted, gold).overall.exact


def _answer_f1(predicted: Sequence[str], gold: Sequence[Sequence[str]]) -> float:
    return answers.squad(predicted, gold).overall.f1


for metric in (
    Metric("accuracy", "classes", "share equal", classify.accuracy, places=mean_of(classify.accuracy)),
    Metric(
        "precision", "classes", "precision of the second of two labels", lambda p, g: classify.binary(p, g).precision
    ),
    Metric("recall", "classes", "recall of the second of two labels", lambda p, g: classify.binary(p, g).recall),
    Metric("f1", "classes", "F1 of the second of two labels", lambda p, g: classify.binary(p, g).f1),
    Metric("macro_f1", "classes", "mean of the classes' F1", lambda p, g: classify.macro(p, g).f1),
    Metric("micro_f1", "classes", "F1 of counts summed over classes", lambda p, g: classify.micro(p, g).f1),
    Metric("weighted_f1", "classes", "mean of F1, weighted by gold counts", lambda p, g: classify.weighted(p, g).f1),
    Metric("matthews", "classes", "Matthews correlation, R_K", classify.matthews),
    Metric("pearson", "numbers", "Pearson's r", regress.pearson),
    Metric("spearman", "numbers", "Spearman's ρ, mean ranks for ties", regress.spearman),
    Metric("mse", "numbers", "mean squared error", regress.mse, perfect=0.0, higher=False, places=mean_of(regress.mse)),
    Metric(
        "entity_f1",
        "tags",
        "micro F1, conlleval's chunks",
        lambda p, g: entity_scores(p, g).overall.f1,
        places=by_places(lambda share: share.f1),
    ),
    Metric(
        "entity_precision",
        "tags",
        "micro precision, conlleval's chunks",
        lambda p, g: entity_scores(p, g).overall.precision,
        places=by_places(lambda share: share.precision),
    ),
    Metric(
        "entity_recall",
        "tags",
        "micro recall, conlleval's chunks",
        lambda p, g: entity_scores(p, g).overall.recall,
        places=by_places(lambda share: share.recall),
    ),
    Metric(
        "strict_entity_f1",
        "tags",
        "micro F1, strict IOB2 chunks",
        lambda p, g: entity_scores(p, g, chunks=iob2_chunks).overall.f1,
        places=by_places(lambda share: share.f1, iob2_chunks),
    ),
    Metric(
        "token_accuracy",
        "tags",
        "share of tokens with the gold tag, O included",
        token_accuracy,
        places=ratio_of(equal_tokens),
    ),
    Metric(
        "exact_match",
        "answers",
        "SQuAD 2.0 exact, percent",
        _exact,
        perfect=100.0,
        places=mean_of(_exact),
    ),
    Metric("answer_f1", "answers", "SQuAD 2.0 F1, percent", _answer_f1, perfect=100.0, places=mean_of(_answer_f1)),
    Metric("bleu", "texts", "sacreBLEU", bleu.bleu, perfect=100.0, places=bleu.SACREBLEU.by_places),
    Metric(
        "tokenised_bleu",
        "texts",
        "BLEU-4, lower case, 13a, no smoothing",
        bleu.tokenised_bleu,
        perfect=100.0,
        places=bleu.TOKENISED.by_places,
    ),
    Metric("chrf", "texts", "chrF2", bleu.chrf, perfect=100.0),
    Metric("ter", "texts", "translation edit rate", bleu.ter, perfect=0.0, higher=False),
    Metric(
        "wer",
        "texts",
        "word error rate: words put in, left out or changed, for each word said; as they are, between white space",
        edits.word_error_rate,
        perfect=0.0,
        higher=False,
        places=ratio_of(edits.word_errors),
    ),
    Metric(
        "cer",
        "texts",
        "character error rate: characters put in, left out or changed, for each one said, spaces included",
        edits.character_error_rate,
        perfect=0.0,
        higher=False,
        places=ratio_of(edits.character_errors),
    ),
    Metric(
        "calibration_error",
        "probabilities",
        "expected calibration error, 15 bins of equal width",
        calibration.calibration_error,
        perfect=0.0,
        higher=False,
    ),
    Metric(
        "brier",
        "probabilities",
        "squared error summed over classes, mean",
        calibration.brier,
        perfect=0.0,
        higher=False,
        places=mean_of(calibration.brier),
    ),
    Metric(
        "nll",
        "probabilities",
        "-ln p(gold), mean, nats",
        calibration.negative_log_likelihood,
        perfect=0.0,
        higher=False,
        places=mean_of(calibration.negative_log_likelihood),
    ),
):
    METRICS.register(metric.name, metric)
