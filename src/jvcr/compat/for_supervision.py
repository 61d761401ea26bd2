"""Faces for supervision (Roboflow): drawing, tracking and metrics on key points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jvcr.extras import MissingExtra
from jvcr.results import Face


def to_supervision(faces: Sequence[Face]) -> Any:
    """Faces → ``supervision.KeyPoints``. Needs ``pip install supervision`` (0.29 or newer).

    ``xy`` (n, N, 2) are 0-based pixels, as OpenCV draws them. ``detection_confidence`` (n,) are the scores.
    ``visible`` (n, N) is False on the far side of a turned head. ``class_id`` is 0. ``data["z"]`` (n, N) is the depth,
    away from the camera, and ``data["box"]`` (n, 4) the landmark boxes. To draw lines, pass
    ``EdgeAnnotator(edges=[(a + 1, b + 1) for a, b in faces[0].markup.edges])``: supervision counts from 1.

    Raises:
        MissingExtra: supervision is not installed. ValueError: the faces have different markups.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise MissingExtra(f"this needs the package {error.name}: pip install supervision") from error
    if not faces:
        return supervision.KeyPoints.empty()
    markup = faces[0].markup
    for face in faces:
        if not face.markup.same_points(markup):
            raise ValueError(f"faces of the markups {markup.name!r} and {face.markup.name!r}; expected one markup")
    points = np.stack([face.landmarks for face in faces])
    return supervision.KeyPoints(
        xy=points[:, :, :2].astype(np.float32),
        class_id=np.zeros(len(faces), int),
        detection_confidence=np.array([face.score for face in faces], np.float32),
        visible=np.stack([~face.hidden for face in faces]),
        data={"z": points[:, :, 2], "box": np.array([face.box.to_list() for face in faces], np.float32)},
    )
