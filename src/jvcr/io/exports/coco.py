"""COCO keypoints. x right, y down, pixels from the *corner* of the image, as COCO defines them: ours + 0.5."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from jvcr import __version__
from jvcr.frames import px_to_share
from jvcr.io.exports.base import ExportedFace, PhotoFaces, common_markup

HIDDEN, VISIBLE = 1, 2
"""Visibility flags: labelled but occluded, and labelled and visible."""


def write_coco(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """One annotation for each face; images without faces are listed, too.

    A keypoint is occluded (1) on the far side of a turned head or outside the photo, else visible (2). Each annotation
    also has ``z`` (away from the camera, pixels) and ``score``, which COCO does not define.

    Raises:
        ValueError: the size of a photo is unknown, or the faces have different markups.
    """
    markup = common_markup(photos)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, photo in enumerate(photos, 1):
        if photo.size is None:
            raise ValueError(f"{photo.image}: the size of the photo is unknown; COCO needs it: size=(width, height)")
        width, height = photo.size
        images.append({"id": number, "file_name": photo.image, "width": width, "height": height})
        for place, face in enumerate(photo.faces):
            entry: dict[str, Any] = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
            entry |= _annotation(face, photo.size)
            if photo.identities:
                entry["track_id"] = photo.identities[place]
            annotations.append(entry)
    document = {
        "info": {
            "description": f"Landmarks of {markup.name} by jvcr {__version__}. Pixels from the image's corner.",
            "version": __version__,
        },
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {
                "id": 1,
                "name": "face",
                "supercategory": "person",
                "keypoints": list(markup.labels),
                "skeleton": [[a + 1, b + 1] for a, b in markup.edges],
            }
        ],
    }
    file.write(json.dumps(document).encode())


def _annotation(face: ExportedFace, size: tuple[int, int]) -> dict[str, Any]:
    points = face.landmarks.astype(np.float64)
    # A grid of cells one pixel wide begins at the image's corner.
    xy = px_to_share(points[:, :2], 1)
    inside = ((xy >= 0) & (xy <= size)).all(axis=1)
    flags = np.where(inside & ~face.hidden, VISIBLE, HIDDEN)
    pairs: list[list[float]] = xy.round(3).tolist()
    left, top = (round(px_to_share(value, 1), 3) for value in (face.box.x0, face.box.y0))
    width, height = round(face.box.width, 3), round(face.box.height, 3)
    return {
        "bbox": [left, top, width, height],
        "area": round(width * height, 3),
        "iscrowd": 0,
        "num_keypoints": len(points),
        "keypoints": [value for (x, y), flag in zip(pairs, flags.tolist(), strict=True) for value in (x, y, flag)],
        "z": np.round(points[:, 2], 3).tolist(),
        "score": round(float(face.score), 4),
    }
