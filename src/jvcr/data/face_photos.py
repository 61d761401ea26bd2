"""Whole photographs with boxes of their faces: what the detector is trained and judged on.

``detect_labels.npz`` beside tar files with ``ID.webp``: ``id`` (photos,), and one row a face: ``image`` (index into
``id``), ``box`` (x0, y0, x1, y1, tight around the 68 landmarks, pixels), and, where they are there, ``score`` of
whoever found the face and ``yaw_deg``.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import read_arrays
from jvcr.data.tars import decode_all, find_members
from jvcr.frames import Crop
from jvcr.images import Image

SURE_SCORE = 0.6
"""Faces that their finder scored lower may be no faces: they are neither to be found nor to be missed."""

LABELS_FILE = "detect_labels.npz"


@dataclass(frozen=True, eq=False)
class FacePhoto:
    """A photograph and all its known faces.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) landmark boxes. sure: (K,) whether each is a face for certain. yaw_deg: (K,), NaN where unknown.
    """

    name: str
    image: Image
    boxes: NDArray[np.float64]
    sure: NDArray[np.bool_]
    yaw_deg: NDArray[np.float64]

    @property
    def surely_empty(self) -> bool:
        """Without a face for certain: elsewhere, photographs without a row may show masked or small faces."""
        return not len(self.boxes) and self.name.startswith(GENERAL_COLLECTIONS)


GENERAL_COLLECTIONS = ("bsds", "imagenet")
"""Begin the names of photographs of anything at all. Few show people; what a finder marked there is as often an animal
or a statue."""


def split_of(photo_id: str) -> str:
    """``"train"`` (four in five), ``"val"`` for choosing thresholds and the like, or ``"test"`` for reporting.

    Decided by a hash of the photograph's id.
    """
    place = zlib.crc32(photo_id.encode()) % 10
    return {0: "val", 5: "test"}.get(place, "train")


class Half(StrEnum):
    """Held-out photographs are divided once more. ``seen`` ones may be looked at while choosing between variants;
    ``fresh`` ones are only reported."""

    SEEN = "seen"
    FRESH = "fresh"


def half_of(name: str) -> Half:
    """Decided by a hash of the name, another than that of ``split_of``."""
    return Half.FRESH if zlib.crc32(f"half {name}".encode()) % 2 else Half.SEEN


def read_face_photos(folder: Path, *splits: str) -> list[FacePhoto]:
    """The photographs of these splits (``split_of``).

    Raises:
        FileNotFoundError: no ``detect_labels.npz``, or a photo is in no tar file.
        ValueError: the labels are not as described above; the file is named.
        ImageError: a photo is damaged.
    """
    path = folder / LABELS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected labels of faces in photographs (docs/detector.md)")
    labels = read_arrays(path, ("id", "image", "box"))
    names: list[str] = labels["id"].tolist()
    owner, boxes = labels["image"].astype(np.int64), labels["box"].astype(np.float64)
    if boxes.shape != (len(owner), 4) or (len(owner) and not 0 <= owner.min() <= owner.max() < len(names)):
        raise ValueError(f"{path}: expected one box (4 numbers) and one index into id for each face")
    bad = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)))
    if len(bad):
        raise ValueError(f"{path}: face {bad[0]} has box {boxes[bad[0]].tolist()}; expected x0 < x1 and y0 < y1")
    sure = labels["score"] >= SURE_SCORE if "score" in labels else np.ones(len(owner), bool)
    yaw = labels["yaw_deg"].astype(np.float64) if "yaw_deg" in labels else np.full(len(owner), math.nan)
    chosen = [index for index, name in enumerate(names) if split_of(name) in splits]
    images = decode_all(find_members(folder, [names[index] for index in chosen]))
    return [
        FacePhoto(names[index], image, boxes[owner == index], sure[owner == index], yaw[owner == index])
        for index, image in zip(chosen, images, strict=True)
    ]


def turned_box(box: NDArray[np.float64], crop: Crop) -> NDArray[np.float64]:
    """The box (4,) of a face of which only the box is known, in a crop: that of the ellipse inscribed in it."""
    centre = crop.to_crop(np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.0]]))[0, :2]
    half = (box[2:] - box[:2]) / 2 * crop.size_px / crop.side_px
    c, s = math.cos(math.radians(crop.rotation_deg)), math.sin(math.radians(crop.rotation_deg))
    reach = np.array([math.hypot(c * half[0], s * half[1]), math.hypot(s * half[0], c * half[1])])
    return np.concatenate([centre - reach, centre + reach])
