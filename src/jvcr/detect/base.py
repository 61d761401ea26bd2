"""The detector protocol, and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import Image


@dataclass(frozen=True)
class Proposal:
    """A possible face.

    Attributes:
        box: landmark box: tight around the 68 landmarks (brows to chin, jaw to jaw), image pixels, not the whole head.
        score: confidence, 0…1; None if the detector has no scores.
        roll_deg: clockwise rotation of the head in the image, degrees; 0 if the detector does not estimate it.
    """

    box: Box
    score: float | None = None
    roll_deg: float = 0.0


def score_of(proposal: Proposal) -> float:
    """The proposal's score; 1 if it has none."""
    return 1.0 if proposal.score is None else proposal.score


class Detector(Protocol):
    """Proposes faces. A plain function will do.

    The boxes are *landmark boxes* (see ``Proposal``). They may be rough, overlap, and include false positives: the
    landmark network crops again around its first prediction, drops low scores, and merges overlapping results. The
    detector may be called from several threads at once.
    """

    def __call__(self, image: Image) -> Sequence[Proposal | Box | Sequence[float]]:
        """(H, W, 3) uint8 RGB → proposals in any order: each a ``Proposal``, a ``Box``, or x0, y0, x1, y1. Empty if
        there is no face."""
        ...


@runtime_checkable
class CloseUpDetector(Protocol):
    """A detector that can also find faces larger than the image. This search runs only if the normal one found none."""

    def close_up(self, image: Image) -> Sequence[Proposal | Box | Sequence[float]]:
        """As ``Detector.__call__``. Boxes may reach beyond the image."""
        ...


def as_proposal(found: Proposal | Box | Sequence[float]) -> Proposal:
    """Convert one result of a detector.

    Raises:
        ValueError: not four finite numbers with x0 < x1 and y0 < y1.
    """
    if isinstance(found, Proposal):
        return found
    if isinstance(found, Box):
        return Proposal(found)
    try:
        x0, y0, x1, y1 = (float(value) for value in found)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"the detector returned {found!r}; expected a Proposal, a Box, or x0, y0, x1, y1 in pixels"
        ) from error
    return Proposal(Box(x0, y0, x1, y1))


def as_proposals(found: Sequence[Proposal | Box | Sequence[float]]) -> list[Proposal]:
    """Convert all results of a detector.

    Raises:
        ValueError: a result is not a proposal, or its score or roll is not a number; the message names its index.
    """
    proposals = []
    for index, one in enumerate(found):
        try:
            proposal = as_proposal(one)
            values = (proposal.roll_deg, 0.0 if proposal.score is None else proposal.score)
            if not np.isfinite(np.array(values, np.float64)).all():
                raise ValueError(f"score {proposal.score} and roll_deg {proposal.roll_deg}: expected finite numbers")
            if max(proposal.box.width, proposal.box.height) < 1:
                raise ValueError(f"{proposal.box} is smaller than a pixel")
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise ValueError(f"the detector's proposal {index} of {len(found)}: {error}") from error
        proposals.append(proposal)
    return proposals


def nms(boxes: Sequence[Box], scores: Sequence[float], limit: float) -> list[int]:
    """Non-maximum suppression: indices of the boxes to keep, best score first.

    A box is dropped if its IoU with a better one exceeds ``limit``.
    """
    table = np.array([box.to_list() for box in boxes], np.float64).reshape(-1, 4)
    waiting = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = waiting[iou_matrix(table[best : best + 1], table[waiting])[0] <= limit]
    return kept


def iou_matrix(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of (N, 4) and (M, 4) boxes: (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    meet = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return meet / np.maximum(areas[0][:, None] + areas[1][None] - meet, 1e-12)
