"""The score of a face: how probable it is that there is one, and that its landmark box is right.

How well a network's volume and points agree depends on its training and on how fine its volume is. So the constants
that turn agreement into a probability belong to the weights, and travel in their header.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_LEAST = 1e-4

SIZES_PX = (16.0, 64.0)
"""Faces of at most the first size are scored by ``Confidence.small``, those of at least the second by ``large``."""


@dataclass(frozen=True)
class Confidence:
    """Logistic regressions on validation photographs, upright and turned (``recipes/calibrate_score.py``).

    Attributes:
        small, large: for a face that a detector found: constant, weight of the logarithm of the agreement, and weight
            of the detector's logit. Between ``SIZES_PX`` they are interpolated over the logarithm of the size.
        alone: for a face in a given box: constant, and weight of the logarithm of the agreement.
        least_agreement: where the first forward pass agrees less, there is no second one.
    The defaults are those of the weights of version 0.1, whose files have no constants.
    Raises:
        ValueError: a constant is missing or not finite.
    """

    small: tuple[float, float, float] = (9.18, 10.851, 2.01)
    large: tuple[float, float, float] = (10.96, 10.851, 2.01)
    alone: tuple[float, float] = (17.71, 19.748)
    least_agreement: float = 0.1

    def __post_init__(self) -> None:
        numbers = (*self.small, *self.large, *self.alone, self.least_agreement)
        if (len(self.small), len(self.large), len(self.alone)) != (3, 3, 2) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{self}: expected 3 finite constants for small and large faces, 2 for alone, and 1")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Confidence:
        """The inverse of ``to_dict``.

        Raises:
            ValueError: a field is missing, or is not a number.
        """
        try:
            small, large, alone = (_numbers(values[name]) for name in ("small", "large", "alone"))
            return cls(small, large, alone, float(values["least_agreement"]))  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"confidence is {values!r}; expected small, large, alone and least_agreement ({error!r})"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` is the inverse."""
        return asdict(self)

    def score(self, agreement: float, detector_score: float | None = None, size_px: float = math.inf) -> float:
        """Combine both networks' scores into one probability, 0…1, that the box's IoU with a true landmark box is at
        least 0.4.

        Args:
            agreement: of the landmark network's volume with its points (``jvcr.locate.agreement``).
            detector_score: 0…1; None if a box was given or the detector has no scores; the size is then not used
                either.
            size_px: longer side of the landmarks' box.
        """
        opinion = math.log(max(agreement, _LEAST))
        if detector_score is None:
            logit = self.alone[0] + self.alone[1] * opinion
        else:
            clipped = min(max(detector_score, _LEAST), 1 - _LEAST)
            terms = (1.0, opinion, math.log(clipped / (1 - clipped)))
            share = largeness(size_px)
            weights = ((1 - share) * s + share * w for s, w in zip(self.small, self.large, strict=True))
            logit = sum(weight * term for weight, term in zip(weights, terms, strict=True))
        # Far on either side, exp would overflow.
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


def largeness(size_px: float) -> float:
    """0 for faces of at most ``SIZES_PX[0]``, 1 from ``SIZES_PX[1]`` on; in between, linear in the logarithm.

    Example: 32 pixels, half-way from 16 to 64 on a logarithmic scale, give 0.5.
    """
    low, high = map(math.log, SIZES_PX)
    return min(max((math.log(max(size_px, 1.0)) - low) / (high - low), 0.0), 1.0)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
