"""Photographs without a face, from the detection table: fillings, occluders and negatives."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from jvcr.data.table import read_tars
from jvcr.images import Image


def is_held_out(photo_id: str) -> bool:
    """The detection photographs are split by a hash of their id: one in five is kept for validation."""
    return zlib.crc32(photo_id.encode()) % 5 == 0


def face_free_ids(folder: Path, held_out: bool) -> list[str]:
    """Ids of the photographs of ``detect_labels.npz`` that have no row at all; [] when there is no such file."""
    path = folder / "detect_labels.npz"
    if not path.is_file():
        return []
    with np.load(path) as labels:
        empty = np.ones(len(labels["id"]), bool)
        empty[labels["image"]] = False
        return [name for name in labels["id"][empty].tolist() if is_held_out(name) == held_out]


def read_backgrounds(folder: Path, held_out: bool = False) -> list[Image]:
    names = face_free_ids(folder, held_out)
    return read_tars(folder, names) if names else []
