"""The training table: ``labels.npz`` with one row a face, and tar files that hold ``ID.webp`` crops.

Arrays of ``labels.npz`` that are read: ``id``, ``split``, ``points`` (rows, N, 3) in pixels of the stored crop with z
*towards* the camera, ``weight``, ``source``. Tar files are found beside it; members no row names are ignored.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.geometry import head_pose
from jvcr.images import Image, decode_image
from jvcr.markup import MARKUP_66, MARKUP_68, Markup

_NEEDED = ("id", "split", "points", "weight", "source")


def tar_images(path: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """(member name without ending, encoded bytes) of the wanted members of one tar file."""
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).stem
            file = archive.extractfile(member) if name in wanted else None
            if file is not None:
                yield name, file.read()


def read_tars(folder: Path, names: list[str]) -> list[Image]:
    """Decode the named members of all tar files of a folder, in the order of ``names``.

    Raises:
        FileNotFoundError: a name is in none of them.
        ImageError: a member is not an image.
    """
    wanted = set(names)
    encoded: dict[str, tuple[Path, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        for name, data in tar_images(path, wanted):
            if name in encoded:
                raise ValueError(f"{path}: {name} is also in {encoded[name][0]}; names must be unique")
            encoded[name] = (path, data)
    missing = [name for name in names if name not in encoded]
    if missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} of {len(names)} images are in no *.tar file, e.g. {missing[0]}"
        )
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda name: decode_image(encoded[name][1], f"{encoded[name][0]}: {name}"), names))


class Table:
    """The rows of one split, decoded and held in memory: 3 bytes a pixel, 43 kB for a crop of 120 × 120."""

    def __init__(self, folder: Path, split: str) -> None:
        labels_path = folder / "labels.npz"
        if not labels_path.is_file():
            raise FileNotFoundError(f"{labels_path}: no such file; expected a training table (labels.npz and *.tar)")
        with np.load(labels_path) as labels:
            missing = [key for key in _NEEDED if key not in labels]
            if missing:
                raise ValueError(f"{labels_path}: arrays {missing} are missing; found {sorted(labels)}")
            rows = np.flatnonzero(labels["split"] == split)
            if not len(rows):
                raise ValueError(f"{labels_path}: no row has split {split!r}")
            self.names: list[str] = labels["id"][rows].tolist()
            # The table stores z towards the camera; ours points away from it.
            self.points = (labels["points"][rows] * np.array([1, 1, -1])).astype(np.float32)
            self.points[..., 2] -= self.points[..., 2].mean(axis=1, keepdims=True)
            self.weights: NDArray[np.float32] = labels["weight"][rows].astype(np.float32)
            self.sources: list[str] = labels["source"][rows].tolist()
        bad = np.flatnonzero(~np.isfinite(self.points).all(axis=(1, 2)))
        if len(bad):
            raise ValueError(f"{labels_path}: row {self.names[bad[0]]} has a landmark that is not finite")
        bad = np.flatnonzero(~((self.weights > 0) & (self.weights <= 1)))
        if len(bad):
            raise ValueError(f"{labels_path}: row {self.names[bad[0]]} has weight {self.weights[bad[0]]}; expected 0…1")
        self.yaw_deg = np.full(len(rows), np.nan)
        # None: the number of points does not say.
        self.markup: Markup | None = {68: MARKUP_68, 66: MARKUP_66}.get(self.points.shape[1])
        if self.markup is not None:
            self.yaw_deg = np.array([head_pose(points, self.markup).yaw_deg for points in self.points])
        self.images = read_tars(folder, self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Sample:
        return Sample(
            name=self.names[row],
            image=self.images[row],
            points_img=self.points[row],
            weight=float(self.weights[row]),
            yaw_deg=float(self.yaw_deg[row]),
            markup=self.markup or MARKUP_68,
        )
