"""Match detected boxes with ground truth: precision, recall, average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import iou_matrix

HIT_OVERLAP = 0.4
"""Minimum IoU with the true landmark box for a true positive."""

ON_FACE_OVERLAP = 0.1
"""Minimum IoU with a face's box for a detection to count as lying on that face."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Detections in one or more photos, matched with the ground truth.

    Attributes:
        scores, hits: (n,) score of each counted detection, and whether it is a true positive.
        truth_scores: (faces,) score of the detection that matched each face; -1 for a missed face.
        photos: number of photos.
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
        """Share of the faces detected with at least this score; NaN if there are no faces."""
        return float((self.truth_scores >= score).mean()) if len(self.truth_scores) else float("nan")

    def false_per_photo(self, score: float) -> float:
        """False positives per photo at this score threshold."""
        return float((~self.hits & (self.scores >= score)).sum()) / self.photos

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Precision, recall and score threshold, (n,) each: one entry per detection, by descending score."""
        order = np.argsort(-self.scores, kind="stable")
        right = np.cumsum(self.hits[order])
        return right / np.arange(1, len(order) + 1), right / max(1, len(self.truth_scores)), self.scores[order]

    def average_precision(self) -> float:
        """Area under the precision–recall curve, with precision made monotonic (PASCAL VOC 2010)."""
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

    Detections that match no sure face but overlap an unsure one are ignored: neither true nor false positives.

    Args:
        boxes, scores: (n, 4) and (n,) of the detections.
        true_boxes, sure: (K, 4) and (K,) of the ground truth: its boxes, and which of them are certain.
        least_overlap: minimum IoU of a match.
    """
    hits, counted, truth_scores = _matched(boxes, scores, true_boxes, sure, least_overlap)
    return Judged(scores[counted], hits[counted], truth_scores[sure])


def extra_results(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], true_boxes: NDArray[np.float64], sure: NDArray[np.bool_]
) -> int:
    """Number of detections in one photo that lie on a sure face but are not its match.

    These are duplicates, upside-down detections on the forehead, and detections of the wrong size.

    Args:
        boxes, scores: (n, 4) and (n,) of the detections.
        true_boxes, sure: (K, 4) and (K,) of the ground truth: its boxes, and which of them are certain.
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
    """Per detection: true positive, counted. Per ground-truth box: score of its match, or -1."""
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
