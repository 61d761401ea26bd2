"""Run a network on labelled faces: in true landmark boxes, or on the faces that its detector finds."""

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
    """What a network said about B samples, in their order.

    Attributes:
        points_img: (B, N, 3) predicted landmarks.
        target_img: (B, M, 3) the samples' own.
        yaw_deg, score: (B,).
        boxes: (B, 4) the true landmark boxes that the crops were taken around.
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
        rough: takes this first look; ``runtime`` then takes a second one, upright and around what was seen.
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
