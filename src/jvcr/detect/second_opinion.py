"""A second opinion on doubtful proposals: the network sees each of them once more, upright and from near."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import Proposal, iou_matrix, score_of
from jvcr.detect.cells import decode
from jvcr.frames import Box, Crop, CropRule, middle_of
from jvcr.images import Image, extract

SURE_SCORE, HOPELESS_SCORE = 0.6, 0.4
"""Proposals with at least the first score need no second opinion. If there is one, those below the second get none
either: few of them would become likely."""

TILE, FACTOR = 64, 1.5
"""Side of the picture, and its ratio to the longer side of the proposal's box."""

SAME_PLACE = 0.35
"""The second opinion is the best score among boxes that have at least this IoU with the proposal's."""

CUT_SHARE = 0.05
"""Boxes that reach beyond the image by more than this share of their longer side get no second opinion."""

LEAST_SCORE = 0.01
"""The second opinion where there is no such box. Scores are also clipped to this and 1 minus this."""


def with_second_opinions(
    cells: Callable[[Image], NDArray[np.float32]], image: Image, proposals: Sequence[Proposal]
) -> list[Proposal]:
    """The proposals with new scores, best first: the doubtful ones get the geometric mean of the odds of both opinions.

    On 1,413 photographs, that puts 1,388 instead of 1,340 of 1,592 faces above the best 200 false proposals
    (docs/LOG.md).

    Args:
        cells: the network, (B, ``TILE``, ``TILE``, 3) uint8 → (B, 7, …), see ``jvcr.detect.cells.decode``.
        image: (H, W, 3) uint8 RGB.
        proposals: all with scores.
    """
    least = HOPELESS_SCORE if any(score_of(one) >= SURE_SCORE for one in proposals) else 0.0
    doubtful = [
        index
        for index, one in enumerate(proposals)
        if least <= score_of(one) < SURE_SCORE and not _is_cut(one.box, image)
    ]
    scored = list(proposals)
    if doubtful:
        rule = CropRule(FACTOR)
        crops = [Crop.from_box(proposals[i].box, TILE, -proposals[i].roll_deg, rule) for i in doubtful]
        answers = cells(np.stack([extract(image, crop) for crop in crops]))
        for index, answer in zip(doubtful, answers, strict=True):
            odds = _logit(score_of(proposals[index])) + _logit(_opinion(answer, proposals[index]))
            scored[index] = replace(proposals[index], score=float(1 / (1 + np.exp(-odds / 2))))
    return sorted(scored, key=score_of, reverse=True)


def _is_cut(box: Box, image: Image) -> bool:
    """Whether the frame cuts off a twentieth of the box or more. The network does not know such faces in a tile."""
    frame = Box.of_image(image.shape[1], image.shape[0])
    beyond = max(frame.x0 - box.x0, frame.y0 - box.y0, box.x1 - frame.x1, box.y1 - frame.y1)
    return beyond > CUT_SHARE * max(box.width, box.height)


def _opinion(cells: NDArray[np.float32], proposal: Proposal) -> float:
    """The score of the face in the middle of the tile."""
    found = decode(cells, LEAST_SCORE)
    box = proposal.box
    half = np.array([box.width, box.height]) / max(box.width, box.height) * (TILE / FACTOR / 2)
    expected = np.concatenate([middle_of(TILE) - half, middle_of(TILE) + half])
    there = iou_matrix(expected[None], found.boxes)[0] >= SAME_PLACE
    return float(found.scores[there].max(initial=LEAST_SCORE))


def _logit(score: float) -> float:
    clipped = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    return float(np.log(clipped / (1 - clipped)))
