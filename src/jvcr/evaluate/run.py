"""Run a network on labelled faces: in true landmark boxes, or on the faces that its detector finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.frames import Crop
from jvcr.images import Image
from jvcr.landmarker import Landmarker
from jvcr.locate import locate_many
from jvcr.metrics import YawTable, ground_truth_error, normalised_mean_error, yaw_table
from jvcr.runtime.base import Runtime


@dataclass(frozen=True)
class Report:
    """Errors as ratios. ``nme`` in 2D per yaw bin; ``gte`` the mean 3D error over the outer-eye distance, None where
    the labels have no depth."""

    faces: int
    nme: YawTable
    gte: float | None
    score_mean: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, fields by their names."""
        return asdict(self)

    def to_row(self) -> dict[str, Any]:
        """As columns of a table."""
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


@dataclass(frozen=True, eq=False)
class Predictions:
    """points_img (B, N, 3) in the order of the samples, their names, truth, yaw (B,) and score (B,)."""

    names: list[str]
    points_img: NDArray[np.float32]
    target_img: NDArray[np.float32]
    yaw_deg: NDArray[np.float64]
    score: NDArray[np.float64]


def predict_samples(
    runtime: Runtime, samples: Iterable[Sample], batch_size: int = 32, rough: Runtime | None = None
) -> Predictions:
    """Predict each sample from the crop around its true landmark box; with ``rough``, that network takes this look,
    and ``runtime`` a second one, upright and around what was seen."""
    names: list[str] = []
    target: list[NDArray[np.float32]] = []
    yaw: list[float] = []

    def work() -> Iterable[tuple[Image, Crop]]:
        for sample in samples:
            names.append(sample.name)
            target.append(sample.points_img)
            yaw.append(sample.yaw_deg)
            yield sample.image, Crop.from_box(sample.box, runtime.image_size, rule=runtime.crop_rule)

    points: list[NDArray[np.float32]] = []
    scores: list[float] = []
    for face in locate_many(runtime, iter(work()), batch_size, rough):  # volumes are not kept
        points.append(face.points_img)
        scores.append(face.score)
    if not points:
        raise ValueError("there is no sample to evaluate")
    return Predictions(
        names,
        np.stack(points),
        np.stack(target),
        np.array(yaw),
        np.array(scores),
    )


@dataclass(frozen=True, eq=False)
class Detected:
    """One face a photo, as found without a box.

    Attributes:
        names: of the B photos.
        points_img: (B, N, 3), NaN for a face that was missed.
        boxes: (B, 4) boxes around the found landmarks, NaN for a missed face.
        overlaps: (B,) intersection over union with the true box, 0 for a missed face.
        extra: faces found that were not taken: other people in the photos, and inventions.
    """

    names: list[str]
    points_img: NDArray[np.float32]
    boxes: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    extra: int


def predict_detected(landmarker: Landmarker, samples: Iterable[Sample]) -> Detected:
    """Let the landmarker find the faces, and take the one whose box overlaps the true landmark box most.

    When nothing that was found overlaps the true box, the face is missed.
    """
    names: list[str] = []
    points: list[NDArray[np.float32]] = []
    boxes: list[list[float]] = []
    overlaps: list[float] = []
    extra = 0
    for sample in samples:
        faces = landmarker.predict(sample.image)
        best = max(faces, key=lambda face: face.box.iou(sample.box), default=None)
        if best is not None and best.box.iou(sample.box) == 0:
            best = None
        names.append(sample.name)
        points.append(np.full((landmarker.markup.n_points, 3), np.nan, np.float32) if best is None else best.landmarks)
        boxes.append([np.nan] * 4 if best is None else best.box.to_list())
        overlaps.append(0.0 if best is None else best.box.iou(sample.box))
        extra += len(faces) - (best is not None)
    if not names:
        raise ValueError("there is no sample to evaluate")
    return Detected(names, np.stack(points), np.array(boxes), np.array(overlaps), extra)


def report(
    predictions: Predictions, normaliser: tuple[int, int], target_img: NDArray[np.float32] | None = None
) -> Report:
    """Errors against the samples' own landmarks, or against ``target_img``: (B, N, 3), or (B, N, 2) for 2D alone."""
    target = predictions.target_img if target_img is None else target_img
    predicted = predictions.points_img[..., : target.shape[-1]]
    nme = normalised_mean_error(predicted, target)
    has_depth = target.shape[-1] == 3
    return Report(
        faces=len(nme),
        nme=yaw_table(nme, predictions.yaw_deg),
        gte=float(ground_truth_error(predicted, target, normaliser).mean()) if has_depth else None,
        score_mean=float(predictions.score.mean()),
    )
