"""Detected boxes matched with ground truth: precision, recall, average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import iou_matrix

HIT_OVERLAP = 0.4
"""Minimum IoU with the true landmark box for a true positive."""

ON_FACE_OVERLAP = 0.1
"""Minimum IoU at which a detection lies on a face."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Detections in one photo, or in many, matched with the ground truth.

    Attributes:
        scores, hits: (n,) of the found boxes that count: whether each is a face.
        truth_scores: (faces,) of the box that found each face; -1 for a missed one.
        photos: how many.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truth_scores: NDArray[np.float64]
    photos: int = 1

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """The detections of all parts, joined."""
        return cls(
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.hits for p in parts]),
            np.concatenate([p.truth_scores for p in parts]),
            sum(p.photos for p in parts),
        )

    def recall(self, score: float) -> float:
        """Share of the faces that are found with at least this score; NaN without faces."""
        return float((self.truth_scores >= score).mean()) if len(self.truth_scores) else float("nan")

    def false_per_photo(self, score: float) -> float:
        """False positives per photo at this score."""
        return float((~self.hits & (self.scores >= score)).sum()) / self.photos

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(n,) each, from the best score down: precision and recall of all found boxes to there, and the score."""
        order = np.argsort(-self.scores, kind="stable")
        right = np.cumsum(self.hits[order])
        return right / np.arange(1, len(order) + 1), right / max(1, len(self.truth_scores)), self.scores[order]

    def average_precision(self) -> float:
        """Area under the precision–recall curve, precision made monotonic (PASCAL VOC 2010)."""
        precision, recall, _ = self.precision_recall()
        if not len(precision):
            return 0.0
        best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall, prepend=0.0) * best_beyond).sum())


def judge(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    true_boxes: NDArray[np.float64],
    sure: NDArray[np.bool_],
    least_overlap: float = HIT_OVERLAP,
) -> Judged:
    """Match the detections of one photo with its faces: highest score first, each face once.

    Found boxes that have no sure face but meet an unsure one count neither as hits nor as false.

    Args:
        boxes (n, 4), scores (n,): found. true_boxes (K, 4), sure (K,): known.
    """
    hits, counted, truth_scores = _matched(boxes, scores, true_boxes, sure, least_overlap)
    return Judged(scores[counted], hits[counted], truth_scores[sure])


def extra_results(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], true_boxes: NDArray[np.float64], sure: NDArray[np.bool_]
) -> int:
    """How many boxes found in one photo lie on a sure face without being a hit: a face found twice, upside down on its
    own forehead, or at a wrong size.

    Args:
        boxes (n, 4), scores (n,): found. true_boxes (K, 4), sure (K,): known.
    """
    hits, counted, _ = _matched(boxes, scores, true_boxes, sure, HIT_OVERLAP)
    on_face = (iou_matrix(boxes, true_boxes[sure]) >= ON_FACE_OVERLAP).any(axis=1)
    return int((on_face & counted & ~hits).sum())


def _matched(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    true_boxes: NDArray[np.float64],
    sure: NDArray[np.bool_],
    least_overlap: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Of each found box whether it is a hit, and whether it counts; of each true one the score that found it, or -1."""
    truth_scores = np.full(len(true_boxes), -1.0)
    table = iou_matrix(boxes, true_boxes)
    hits = np.zeros(len(boxes), bool)
    counted = np.ones(len(boxes), bool)
    for index in np.argsort(-scores, kind="stable"):
        free = np.where(sure & (truth_scores < 0), table[index], 0.0)
        if free.size and free.max() >= least_overlap:
            hits[index] = True
            truth_scores[free.argmax()] = scores[index]
        elif (table[index][~sure] >= least_overlap / 2).any():
            counted[index] = False
    return hits, counted, truth_scores
