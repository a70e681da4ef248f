"""How good predicted probabilities are: likelihood, calibration, average precision; and how they are kept in 8 bits."""

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

#: Probability above which a label of a multi-label task is predicted: fixed, never tuned (Demszky et al. 2020's 0.3).
THRESHOLD = 0.3

#: Bins of equal width of the calibration error: the number of Guo et al. 2017 (arXiv 1706.04599).
BINS = 15

_SMALLEST = 1e-12  # a probability of zero would make the likelihood infinite


def predictions(probabilities: Any, multilabel: bool) -> Any:
    """Return the predicted class ``(…, n)``, or for several labels which are predicted ``(…, n, classes)``."""
    return probabilities > THRESHOLD if multilabel else probabilities.argmax(-1)


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log likelihood of labels ``(n,)``, or of labels ``(n, classes)``, which each count.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])), 4)  # ln 2, ln 4/3
    0.4904
    """
    clipped = np.clip(probabilities, _SMALLEST, 1)
    if labels.ndim == 1:
        return float(-np.log(clipped[np.arange(len(labels)), labels]).mean())
    opposite = np.clip(1 - probabilities, _SMALLEST, 1)
    return float(-np.where(labels > 0, np.log(clipped), np.log(opposite)).mean())


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: |confidence − share that is right| in a bin, averaged over the examples.

    The confidence is that in the predicted class (Guo et al. 2017, eq. 3). Of labels ``(n, classes)`` each label counts
    as an example: its probability is the confidence, and it is right where the label is present.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))  # 75 % sure, right in 3 of 4
    0.0
    """
    if labels.ndim == 1:
        confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    else:
        confidence, right = probabilities.ravel(), labels.ravel() > 0
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    apart = np.bincount(place, confidence - right, minlength=bins)
    return float(np.abs(apart).sum() / len(confidence))


def average_precision(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the average precision of each label that occurs, and the mean of these; labels ``(n, classes)``."""
    occurs = labels.any(0)
    return float(average_precision_score(labels[:, occurs], probabilities[:, occurs], average="macro"))


def disagreement(predicted: np.ndarray) -> float:
    """Return the share of predictions in which two of several models differ, the mean over their pairs.

    Parameters
    ----------
    predicted : array
        Shape ``(models, …)``; at least two models.
    """
    pairs = [(predicted[i] != predicted[j]).mean() for i in range(len(predicted)) for j in range(i)]
    return float(np.mean(pairs))


def to_bytes(probabilities: np.ndarray, multilabel: bool) -> np.ndarray:
    """Return probabilities ``(…, classes)`` in 8 bits, as 255 times their square root: small ones are kept finer.

    `predictions` stay what they were: where rounding would make classes equal, or move a label across the threshold,
    the byte next to it is taken.

    >>> to_bytes(np.array([0.0, 1e-4, 0.25, 0.7499]), multilabel=False)
    array([  0,   3, 128, 221], dtype=uint8)
    """
    clipped = np.clip(np.nan_to_num(probabilities), 0, 1)
    kept = np.rint(255 * np.sqrt(clipped)).astype(int)
    if multilabel:
        first = int(np.ceil(255 * np.sqrt(THRESHOLD)))
        kept = np.where(predictions(clipped, True), np.maximum(kept, first), np.minimum(kept, first - 1))
    else:
        others = np.arange(clipped.shape[-1]) != predictions(clipped, False)[..., None]
        kept = np.where(others, np.minimum(kept, kept.max(-1, keepdims=True) - 1), kept)
    return np.clip(kept, 0, 255).astype(np.uint8)


def from_bytes(kept: np.ndarray) -> np.ndarray:
    """Return the probabilities that `to_bytes` kept, at most 0.012 from what they were, and mostly within 0.004.

    >>> [round(p, 4) for p in from_bytes(np.array([0, 3, 128, 221], dtype=np.uint8)).tolist()]
    [0.0, 0.0001, 0.252, 0.7511]
    """
    return (kept / 255.0) ** 2
