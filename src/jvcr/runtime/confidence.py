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

SIZES_PX = (32.0, 100.0)
"""Between these the size tells something: what looks a little like a face is more often one when it is large."""


@dataclass(frozen=True)
class Confidence:
    """Logistic regressions on validation photographs, upright and turned (``recipes/calibrate_score.py``).

    Attributes:
        both: of a face that a detector found: constant, weight of the logarithm of the agreement, of the detector's
            logit, and of the logarithm of the face's size.
        alone: of a face in a given box: constant, and weight of the logarithm of the agreement.
        least_agreement: a first look that agrees less is not followed up.
    The defaults are those of the weights of version 0.1, which do not carry any.
    Raises:
        ValueError: a constant is missing or not finite.
    """

    both: tuple[float, float, float, float] = (0.254, 10.851, 2.01, 2.576)
    alone: tuple[float, float] = (17.71, 19.748)
    least_agreement: float = 0.1

    def __post_init__(self) -> None:
        numbers = (*self.both, *self.alone, self.least_agreement)
        if (len(self.both), len(self.alone)) != (4, 2) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{self}: expected four finite constants, two, and one")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Confidence:
        """As ``to_dict`` gives it.

        Raises:
            ValueError: something else.
        """
        try:
            return cls(_numbers(values["both"]), _numbers(values["alone"]), float(values["least_agreement"]))  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"confidence is {values!r}; expected both, alone and least_agreement ({error!r})"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` is the inverse."""
        return asdict(self)

    def score(self, agreement: float, detector_score: float | None = None, size_px: float = math.inf) -> float:
        """Both networks' opinions as one probability, 0…1, that the box's IoU with a true landmark box is at least 0.4.

        Args:
            agreement: of the landmark network's volume with its points (``jvcr.locate.agreement``).
            detector_score: 0…1; None where a box was given or the detector does not say: then the size is not used
                either.
            size_px: longer side of the landmarks' box.
        """
        opinion = math.log(max(agreement, _LEAST))
        if detector_score is None:
            logit = self.alone[0] + self.alone[1] * opinion
        else:
            clipped = min(max(detector_score, _LEAST), 1 - _LEAST)
            size = math.log(min(max(size_px, SIZES_PX[0]), SIZES_PX[1]))
            terms = (1.0, opinion, math.log(clipped / (1 - clipped)), size)
            logit = sum(weight * term for weight, term in zip(self.both, terms, strict=True))
        # Far on either side, exp would overflow.
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
