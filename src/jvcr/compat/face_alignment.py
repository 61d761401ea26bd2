"""face-alignment's calls. Change ``import face_alignment`` to ``from jvcr.compat import face_alignment``.

The results have face-alignment's conventions: 68 points in its order, 0-based pixels, z towards the camera. x and y are
not cut to whole pixels. There is one landmarker for all landmark types; the points are always those of the 3D head.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.compat.shared import as_rgb, default_landmarker
from jvcr.images import IMAGE_ENDINGS, Image, read_image
from jvcr.landmarker import Landmarker
from jvcr.results import Face

_SIGN = np.array([1, 1, -1], np.float32)
"""Ours grows away from the camera, theirs towards it."""

Landmarks = NDArray[np.float32]
"""(68, 2) or (68, 3)."""


class LandmarksType(Enum):
    """What a call returns. TWO_D and TWO_HALF_D: (68, 2), x and y of the 3D head's points. THREE_D: (68, 3)."""

    TWO_D = 1
    TWO_HALF_D = 2
    THREE_D = 3
    # Names of versions before 1.4.
    _2D = 1
    _2halfD = 2
    _3D = 3


class FaceAlignment:
    """The class of that name.

    Args:
        landmarks_type: ``LandmarksType``.
        network_size, device, dtype, flip_input, face_detector, face_detector_kwargs, compile: accepted and not used:
            pass a ``landmarker`` of your own to choose weights, device and detector.
        verbose: not used.
        landmarker: a ``jvcr.Landmarker`` with the 68 points; by default one with default settings, on the CPU.
    """

    def __init__(
        self,
        landmarks_type: LandmarksType,
        network_size: Any = None,
        device: Any = "cpu",
        dtype: Any = None,
        flip_input: bool = False,
        face_detector: Any = "sfd",
        face_detector_kwargs: Any = None,
        verbose: bool = False,
        *,
        compile: Any = None,
        landmarker: Landmarker | None = None,
    ) -> None:
        if not isinstance(landmarks_type, LandmarksType):
            raise TypeError(f"landmarks_type is {landmarks_type!r}; expected a member of jvcr.compat's LandmarksType")
        self.landmarks_type = landmarks_type
        self._landmarker = landmarker or default_landmarker()
        if self._landmarker.markup.n_points != 68:
            raise ValueError(f"the landmarker predicts {self._landmarker.markup.n_points} points; expected 68")

    def get_landmarks_from_image(
        self,
        image_or_path: Any,
        detected_faces: Sequence[Any] | None = None,
        return_bboxes: bool = False,
        return_landmark_score: bool = False,
    ) -> Any:
        """Landmarks of every face.

        Args:
            image_or_path: RGB or grey array, tensor, or the path of a photo.
            detected_faces: boxes x0, y0, x1, y1 (and a score, which is not used); None: find the faces.
            return_bboxes, return_landmark_score: return (landmarks, scores, boxes); what was not asked for is None.
                A face has one score, which is repeated for its 68 landmarks.
        Returns:
            a list of (68, 2) or (68, 3) arrays; None if there is no face. With one of the flags, the tuple above.
        """
        image = _image(image_or_path)
        boxes = None if detected_faces is None else [np.asarray(box, np.float64)[:4] for box in detected_faces]
        faces = self._landmarker.predict(image, boxes)
        wants_more = return_bboxes or return_landmark_score
        if not faces:
            warnings.warn("No faces were detected.", stacklevel=2)
            return (None, None, None) if wants_more else None
        landmarks = [self._landmarks(face) for face in faces]
        if not wants_more:
            return landmarks
        scores = [np.full(68, face.score, np.float32) for face in faces] if return_landmark_score else None
        found = [np.array([*face.box.to_list(), face.score], np.float32) for face in faces] if return_bboxes else None
        return landmarks, scores, found

    get_landmarks = get_landmarks_from_image

    def get_landmarks_from_batch(
        self,
        image_batch: Any,
        detected_faces: Sequence[Any] | None = None,
        return_bboxes: bool = False,
        return_landmark_score: bool = False,
    ) -> Any:
        """Landmarks of a batch, (B, 3, H, W) with values 0…255.

        Returns:
            for each image the (68 · faces, 2 or 3) landmarks of all of its faces, [] where there is none; with one of
            the flags, (landmarks, scores, boxes).
        """
        batch = _array(image_batch)
        if batch.ndim != 4 or batch.shape[1] != 3:
            raise ValueError(f"image_batch has shape {batch.shape}; expected (B, 3, H, W)")
        landmarks: list[Any] = []
        scores: list[Any] = []
        boxes: list[Any] = []
        for number, image in enumerate(batch):
            given = None if detected_faces is None else detected_faces[number]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.get_landmarks_from_image(image.transpose(1, 2, 0), given, True, True)
            for out, values in zip((landmarks, scores, boxes), found, strict=True):
                out.append([] if values is None else np.concatenate(values) if out is not boxes else values)
        if not return_bboxes and not return_landmark_score:
            return landmarks
        return landmarks, scores if return_landmark_score else None, boxes if return_bboxes else None

    def get_landmarks_from_directory(
        self,
        path: str | Path,
        extensions: Sequence[str] = tuple(sorted(IMAGE_ENDINGS)),
        recursive: bool = True,
        show_progress_bar: bool = False,
        return_bboxes: bool = False,
        return_landmark_score: bool = False,
    ) -> dict[str, Any]:
        """Path of each photo in a folder → its landmarks, as ``get_landmarks_from_image`` returns them."""
        wanted = tuple(ending.lower() for ending in extensions)
        files = sorted(p for p in (Path(path).rglob("*") if recursive else Path(path).iterdir()) if p.is_file())
        return {
            str(file): self.get_landmarks_from_image(file, None, return_bboxes, return_landmark_score)
            for file in files
            if file.suffix.lower() in wanted
        }

    def _landmarks(self, face: Face) -> Landmarks:
        points = face.landmarks * _SIGN
        return points if self.landmarks_type is LandmarksType.THREE_D else points[:, :2].copy()


def _image(image_or_path: Any) -> Image:
    return read_image(Path(image_or_path)) if isinstance(image_or_path, str | Path) else as_rgb(_array(image_or_path))


def _array(values: Any) -> NDArray[Any]:
    """Of an array, or of a tensor on any device."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
