"""Whole photographs with face boxes: training and evaluation data of the detector.

``detect_labels.npz`` beside tar files with ``ID.webp``: ``id`` (photos,), and one row per face: ``image`` (index into
``id``), ``box`` (x0, y0, x1, y1, tight around the 68 landmarks, pixels), and, if present, the ``score`` of the detector
that found the face and ``yaw_deg``.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.labels import array_fault
from jvcr.data.reading import read_arrays
from jvcr.data.tars import decode_all, find_members, without_damaged
from jvcr.frames import Crop
from jvcr.images import Image

SURE_SCORE = 0.6
"""Faces with a lower score may be false positives: they are ignored in training and evaluation."""

LABELS_FILE = "detect_labels.npz"


@dataclass(frozen=True, eq=False)
class FacePhoto:
    """A photograph and all its known faces.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) landmark boxes. sure: (K,) whether each is certainly a face. yaw_deg: (K,), NaN if unknown.
    """

    name: str
    image: Image
    boxes: NDArray[np.float64]
    sure: NDArray[np.bool_]
    yaw_deg: NDArray[np.float64]

    @property
    def surely_empty(self) -> bool:
        """Whether the photo certainly shows no face. Other photos without a row may show masked or small faces."""
        return not len(self.boxes) and self.name.startswith(GENERAL_COLLECTIONS)


GENERAL_COLLECTIONS = ("bsds", "imagenet")
"""Name prefixes of general-purpose collections. Few of their photos show people, and detections in
them are as often animals or statues."""


def split_of(photo_id: str) -> str:
    """``"train"`` (four in five), ``"val"`` (to choose thresholds, for example) or ``"test"`` (for reported figures).

    Decided by a hash of the photo's id.
    """
    place = zlib.crc32(photo_id.encode()) % 10
    return {0: "val", 5: "test"}.get(place, "train")


class Half(StrEnum):
    """Held-out photos are split once more. ``seen`` photos may be used to choose between variants; ``fresh`` photos
    are only for reported figures."""

    SEEN = "seen"
    FRESH = "fresh"


def half_of(name: str) -> Half:
    """Decided by a hash of the name, independent of ``split_of``."""
    return Half.FRESH if zlib.crc32(f"half {name}".encode()) % 2 else Half.SEEN


@dataclass(frozen=True, eq=False)
class FaceLabels:
    """The content of ``detect_labels.npz``.

    Attributes:
        names: ids of the photographs.
        owner: (faces,) index of each face's photograph. boxes: (faces, 4) landmark boxes.
        sure: (faces,) whether each is certainly a face. yaw_deg: (faces,), NaN if unknown.
    """

    names: list[str]
    owner: NDArray[np.int64]
    boxes: NDArray[np.float64]
    sure: NDArray[np.bool_]
    yaw_deg: NDArray[np.float64]


def read_face_labels(path: Path) -> FaceLabels:
    """Read and validate ``detect_labels.npz``. Training and ``jvcr data check`` both use this.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the labels are not as described above; file and array are named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected labels of faces in photographs (docs/detector.md)")
    labels = read_arrays(path, ("id", "image", "box"))
    fault = next(_faults(labels), None)
    if fault is not None:
        raise ValueError(f"{path}: {fault}")
    owner = labels["image"].astype(np.int64)
    return FaceLabels(
        names=labels["id"].tolist(),
        owner=owner,
        boxes=labels["box"].astype(np.float64),
        sure=labels["score"] >= SURE_SCORE if "score" in labels else np.ones(len(owner), bool),
        yaw_deg=labels["yaw_deg"].astype(np.float64) if "yaw_deg" in labels else np.full(len(owner), math.nan),
    )


def _faults(labels: dict[str, NDArray[Any]]) -> Iterator[str]:
    ids, owner = labels["id"], labels["image"]
    if ids.ndim != 1 or ids.dtype.kind != "U":
        yield array_fault("id", ids, "one text per photograph")
        return
    if owner.ndim != 1 or owner.dtype.kind not in "iu":
        yield array_fault("image", owner, "one index into id for each face")
        return
    for key, shape in (("box", (4,)), ("score", ()), ("yaw_deg", ())):
        if key in labels and (labels[key].shape != (len(owner), *shape) or labels[key].dtype.kind not in "fiu"):
            yield array_fault(key, labels[key], f"numbers of shape {(len(owner), *shape)}, one row for each face")
            return
    twice = [name for name, count in Counter(ids.tolist()).items() if count > 1]
    if twice:
        yield f"array id holds {twice[0]!r} more than once; expected one row per photograph"
    for face in np.flatnonzero((owner < 0) | (owner >= len(ids)))[:1]:
        yield f"face {face} has image {owner[face]}; expected an index into the {len(ids)} entries of id"
    boxes = labels["box"].astype(np.float64)
    for face in np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)))[:1]:
        yield f"face {face} has box {boxes[face].tolist()}; expected x0 < x1 and y0 < y1"
    for face in np.flatnonzero(np.isnan(labels["score"].astype(np.float64)))[:1] if "score" in labels else ():
        yield f"face {face} has a score of NaN; expected a number"


def read_face_photos(folder: Path, *splits: str, left_out: list[str] | None = None) -> list[FacePhoto]:
    """The photographs of these splits (``split_of``).

    Args:
        left_out: if given, damaged photographs are left out, and a line with id and reason is appended for each.
    Raises:
        FileNotFoundError: no ``detect_labels.npz``, or a photo is in no tar file.
        ValueError: the labels are not as described above; file and array are named.
        ImageError: a photo is damaged.
    """
    labels = read_face_labels(folder / LABELS_FILE)
    chosen = [index for index, name in enumerate(labels.names) if split_of(name) in splits]
    members = find_members(folder, [labels.names[index] for index in chosen])
    if left_out is not None:
        good = without_damaged(members, left_out)
        chosen, members = [chosen[place] for place in good], [members[place] for place in good]
    photos = []
    for index, image in zip(chosen, decode_all(members), strict=True):
        mine = labels.owner == index
        photos.append(
            FacePhoto(labels.names[index], image, labels.boxes[mine], labels.sure[mine], labels.yaw_deg[mine])
        )
    return photos


def turned_box(box: NDArray[np.float64], crop: Crop) -> NDArray[np.float64]:
    """The box (4,) of a rotated face if only its box is known: the box of the rotated ellipse inscribed in it."""
    centre = crop.to_crop(np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.0]]))[0, :2]
    half = (box[2:] - box[:2]) / 2 * crop.size_px / crop.side_px
    c, s = math.cos(math.radians(crop.rotation_deg)), math.sin(math.radians(crop.rotation_deg))
    reach = np.array([math.hypot(c * half[0], s * half[1]), math.hypot(s * half[0], c * half[1])])
    return np.concatenate([centre - reach, centre + reach])
