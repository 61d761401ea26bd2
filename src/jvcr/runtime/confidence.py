"""The score of a face: the probability that it is a real face with a correct landmark box.

The score depends on how well the network's volume and points agree. Typical agreement depends on the training and on
the resolution of the volume. So the constants that map agreement to a probability are part of the weights and are
stored in their header.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jvcr.runtime.landmark_confidence import LandmarkConfidence

_LEAST = 1e-4

SIZES_PX = (16.0, 64.0)
"""Faces of at most the first size are scored by ``Confidence.small``, those of at least the second by ``large``."""


@dataclass(frozen=True)
class Confidence:
    """Logistic regressions on validation photographs, upright and turned (``recipes/calibrate_score.py``).

    Attributes:
        small, large: for a detected face: intercept, and weights of the log agreement, of the detector's logit, and of
            the log of the landmarks' mean σ. Between ``SIZES_PX``, they are interpolated over the log of the size.
        alone: for a face whose box was given: intercept, and weight of the log agreement.
        least_agreement: with less agreement after the first forward pass, the second one (refinement) is skipped.
        landmarks: visibility and standard deviation of single landmarks; None in older files.
    The defaults are for the weights of version 0.1, whose files do not contain these constants.
    Raises:
        ValueError: a constant is missing or not finite.
    """

    small: tuple[float, float, float, float] = (9.18, 10.851, 2.01, 0.0)
    large: tuple[float, float, float, float] = (10.96, 10.851, 2.01, 0.0)
    alone: tuple[float, float] = (17.71, 19.748)
    least_agreement: float = 0.1
    landmarks: LandmarkConfidence | None = None

    def __post_init__(self) -> None:
        numbers = (*self.small, *self.large, *self.alone, self.least_agreement)
        if (len(self.small), len(self.large), len(self.alone)) != (4, 4, 2) or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"{self}: expected finite constants: 4 for small, 4 for large, 2 for alone and 1 for least_agreement"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Confidence:
        """Inverse of ``to_dict``.

        Raises:
            ValueError: a field is missing, or is not a number.
        """
        try:
            small, large, alone = (_numbers(values[name]) for name in ("small", "large", "alone"))
            # Files of version 0.2 have no weight of σ.
            small, large = (numbers if len(numbers) != 3 else (*numbers, 0.0) for numbers in (small, large))
            stored = values.get("landmarks")
            landmarks = None if stored is None else LandmarkConfidence.from_dict(stored)
            return cls(small, large, alone, float(values["least_agreement"]), landmarks)  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"confidence is {values!r}; expected small, large, alone and least_agreement ({error!r})"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable dictionary; ``from_dict`` is the inverse."""
        values: dict[str, Any] = {
            "small": self.small,
            "large": self.large,
            "alone": self.alone,
            "least_agreement": self.least_agreement,
        }
        return values if self.landmarks is None else values | {"landmarks": self.landmarks.to_dict()}

    def score(
        self,
        agreement: float,
        detector_score: float | None = None,
        size_px: float = math.inf,
        sigma: float | None = None,
    ) -> float:
        """The probability, 0…1, that the box has an IoU of at least 0.4 with a ground-truth landmark box.

        Args:
            agreement: of the landmark network's volume and points (``jvcr.locate.LocatedFace.score``).
            detector_score: 0…1; None if the box was given or the detector returns no score. ``size_px`` and ``sigma``
                are then not used.
            size_px: longer side of the landmarks' box, image pixels.
            sigma: mean standard deviation of the landmarks, in diagonals of their box; None if the weights cannot tell.
        """
        opinion = math.log(max(agreement, _LEAST))
        if detector_score is None:
            logit = self.alone[0] + self.alone[1] * opinion
        else:
            clipped = min(max(detector_score, _LEAST), 1 - _LEAST)
            unsure = 0.0 if sigma is None else math.log(max(sigma, _LEAST))
            terms = (1.0, opinion, math.log(clipped / (1 - clipped)), unsure)
            share = largeness(size_px)
            weights = ((1 - share) * s + share * w for s, w in zip(self.small, self.large, strict=True))
            logit = sum(weight * term for weight, term in zip(weights, terms, strict=True))
        # Clipped, because exp would overflow for very large values.
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


def largeness(size_px: float) -> float:
    """0 for faces of at most ``SIZES_PX[0]``, 1 from ``SIZES_PX[1]`` on; in between, linear in the logarithm.

    Example: 32 pixels give 0.5: on a logarithmic scale, 32 is half-way between 16 and 64.
    """
    low, high = map(math.log, SIZES_PX)
    return min(max((math.log(max(size_px, 1.0)) - low) / (high - low), 0.0), 1.0)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
