"""NME by yaw and GTE of a network on labelled faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.evaluate.run_network import Predictions
from jvcr.metrics import YawTable, ground_truth_error, normalised_mean_error, yaw_table


@dataclass(frozen=True)
class LandmarkErrors:
    """Errors as ratios.

    Attributes:
        nme: 2D NME by yaw bin.
        gte: mean 3D error divided by the outer-eye distance; None if the labels have no depth.
        score_mean: mean confidence score.
    """

    faces: int
    nme: YawTable
    gte: float | None
    score_mean: float

    def to_dict(self) -> dict[str, Any]:
        """As a dict. JSON-able, except for NaN in empty bins."""
        return asdict(self)

    def to_row(self) -> dict[str, Any]:
        """As one table row: column name → value."""
        return {
            "nme_0_30": self.nme.bins[0],
            "nme_30_60": self.nme.bins[1],
            "nme_60_90": self.nme.bins[2],
            "nme": self.nme.mean,
            "nme_images": self.nme.image_mean,
            "gte": self.gte,
            "score": self.score_mean,
        }

    def __str__(self) -> str:
        bins = " / ".join(f"{100 * value:.2f}" for value in self.nme.bins)
        gte = "" if self.gte is None else f", GTE {100 * self.gte:.2f} %"
        return (
            f"NME {bins}, mean {100 * self.nme.mean:.2f} ± {100 * self.nme.std:.2f} % "
            f"(mean over images {100 * self.nme.image_mean:.2f} %){gte} on {self.faces} faces"
        )


def landmark_errors(
    predictions: Predictions, normaliser: tuple[int, int], target_img: NDArray[np.float32] | None = None
) -> LandmarkErrors:
    """Errors against the samples' own landmarks, or against ``target_img``: (B, N, 3), or (B, N, 2) for 2D only.

    Args:
        normaliser: the two landmarks whose 3D distance normalises GTE.
    """
    target = predictions.target_img if target_img is None else target_img
    predicted = predictions.points_img[..., : target.shape[-1]]
    nme = normalised_mean_error(predicted, target)
    has_depth = target.shape[-1] == 3
    return LandmarkErrors(
        faces=len(nme),
        nme=yaw_table(nme, predictions.yaw_deg),
        gte=float(ground_truth_error(predicted, target, normaliser).mean()) if has_depth else None,
        score_mean=float(predictions.score.mean()),
    )
