"""Run a network on labelled faces: in true landmark boxes, or in detected boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.frames import Crop
from jvcr.images import Image
from jvcr.landmarker import Landmarker
from jvcr.locate import locate_many
from jvcr.runtime.base import Runtime


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a network for B samples, in order.

    Attributes:
        points_img: (B, N, 3) predicted landmarks.
        target_img: (B, M, 3) ground truth.
        yaw_deg, score: (B,).
        boxes: (B, 4) the true landmark boxes that define the crops.
    """

    names: list[str]
    points_img: NDArray[np.float32]
    target_img: NDArray[np.float32]
    yaw_deg: NDArray[np.float64]
    score: NDArray[np.float64]
    boxes: NDArray[np.float64]


def predict_samples(
    runtime: Runtime, samples: Iterable[Sample], batch_size: int = 32, rough: Runtime | None = None
) -> Predictions:
    """Predict each sample from the crop around its true landmark box.

    Args:
        rough: network of the first pass. ``runtime`` then refines on an upright crop centred on the first landmarks.
    Raises:
        ValueError: no sample.
    """
    names: list[str] = []
    target: list[NDArray[np.float32]] = []
    yaw: list[float] = []
    boxes: list[list[float]] = []

    def work() -> Iterable[tuple[Image, Crop]]:
        for sample in samples:
            names.append(sample.name)
            target.append(sample.points_img)
            yaw.append(sample.yaw_deg)
            box = sample.box
            boxes.append(box.to_list())
            yield sample.image, Crop.from_box(box, runtime.image_size, rule=runtime.crop_rule)

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
        np.array(boxes),
    )


@dataclass(frozen=True, eq=False)
class Detected:
    """The detected face of each photo.

    Attributes:
        names: of the B photos.
        points_img: (B, N, 3), NaN for a face that was missed.
        boxes: (B, 4) boxes around the found landmarks, NaN for a missed face.
        overlaps: (B,) IoU with the true box, 0 for a missed face.
        extra: detected faces that were not used: other people in the photos, and false positives.
    """

    names: list[str]
    points_img: NDArray[np.float32]
    boxes: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    extra: int


def predict_detected(landmarker: Landmarker, samples: Iterable[Sample]) -> Detected:
    """Detect the faces, and use the one with the highest IoU with the true landmark box.

    The face counts as missed if no detection overlaps the true box.

    Raises:
        ValueError: no sample.
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
