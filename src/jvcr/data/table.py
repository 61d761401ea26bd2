"""The training table: ``labels.npz`` with one row a face, and tar files that hold ``ID.webp`` crops.

Arrays of ``labels.npz`` that are read: ``id``, ``split``, ``points`` (rows, N, 3) in pixels of the stored crop with z
*towards* the camera, ``weight``, ``source``; and, where they are there, ``group``, ``yaw_deg``, ``box``, ``origin``,
``provenance``, ``markup``, ``openings``, ``hand2d`` and ``visibility`` (``Sample`` says what they mean). Tar files are
found beside it; members no row names are ignored.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.labels import NEEDED, label_faults
from jvcr.data.reading import KNOWN_MARKUPS, Samples, markup_of, read_arrays
from jvcr.data.sample import Sample
from jvcr.data.tars import digest, find_members, images_of
from jvcr.files import MALFORMED
from jvcr.frames import Box
from jvcr.geometry import head_pose, mean_head
from jvcr.markups.markup import MARKUP_68, Markup

MEMORY_GB = 4.0

OPENINGS = ("hand", "mesh", "exact", "model")
"""What ``openings`` may say, or "" where nothing is known."""

_UNTRUSTED = "model"
VISIBILITIES = (-1, 0, 1, 2)
"""What ``visibility`` may say."""


class Table:
    """The rows of one split.

    Images are held in memory, 3 bytes a pixel (43 kB for a crop of 120 × 120), or, where that would take more than
    ``memory_gb``, decoded from the tar files each time they are asked for.

    Attributes:
        points: (rows, N, 3) float32 as ``Sample.points_img``.
        yaw_deg: (rows,) as stored; else of the head pose, where the markup has one; else NaN.
        openings: where the gaps between lids and between lips come from; "" where unknown.
        taught: (rows, N) which landmarks a network may learn from: all, but for lids and inner lips where their
            openings are those of a face model.
        hand2d: (rows, N, 2) float32, pixels of the stored image; NaN where there are none.
        visibility: (rows, N) int8, -1 where unknown.
        origin: (rows, 3) float64: x and y, in the image that the stored one was cut from, of the stored one's first
            pixel, and how many of its pixels a stored pixel is wide; NaN where unknown.
    """

    def __init__(
        self,
        folder: Path,
        split: str | None,
        memory_gb: float = MEMORY_GB,
        incomplete: bool = False,
        markup: Markup | None = None,
    ) -> None:
        """Read the labels of a split (None: of all) and find its images.

        Args:
            memory_gb: 10⁹ bytes that the decoded images of this split may take.
            incomplete: also accept rows with NaN: landmarks that are not marked, or labels without depth.
            markup: of the points, in place of the stored one.
        Raises:
            FileNotFoundError: no ``labels.npz``, or a row's image is in no tar file.
            ValueError: the labels are not as described above; or the rows are incomplete.
            ImageError: an image is damaged; where they are not held in memory, only when it is asked for.
        """
        path = folder / "labels.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; expected a training table (labels.npz and *.tar)")
        labels = read_arrays(path, NEEDED)
        faults = label_faults(labels)
        if faults:
            raise ValueError(f"{path}: {faults[0]}")
        rows = np.arange(len(labels["id"])) if split is None else np.flatnonzero(labels["split"] == split)
        if not len(rows):
            raise ValueError(f"{path}: no row has split {split!r}; found {sorted(set(labels['split'].tolist()))}")
        self.path = path
        self.names: list[str] = labels["id"][rows].tolist()
        self.splits: list[str] = labels["split"][rows].tolist()
        self.points = _points(labels["points"][rows])
        self.weights: NDArray[np.float32] = labels["weight"][rows].astype(np.float32)
        self.sources: list[str] = labels["source"][rows].tolist()
        self.groups = _text(labels, "group", rows)
        self.provenances = _text(labels, "provenance", rows)
        self.boxes = _numbers(labels, "box", rows, 4)
        self.origin = _numbers(labels, "origin", rows, 3)
        self.openings = _text(labels, "openings", rows)
        n_points = self.points.shape[1]
        self.hand2d = _of_landmarks(labels, "hand2d", rows, (n_points, 2), np.float32, math.nan)
        self.visibility = _of_landmarks(labels, "visibility", rows, (n_points,), np.int8, -1)
        if markup is None and "markup" in labels:
            markup = _stored_markup(str(labels["markup"]), path)
        if markup is not None:
            markup_of(self.points.shape[1], markup, path)
        self.known_markup = markup or KNOWN_MARKUPS.get(self.points.shape[1])
        self.taught = np.ones(self.points.shape[:2], bool)
        if self.known_markup is not None:
            untrusted = np.array([opening == _UNTRUSTED for opening in self.openings])
            rims = np.array(self.known_markup.rims, int)
            self.taught[np.flatnonzero(untrusted)[:, None], rims] = False
        self._check(incomplete)
        self.yaw_deg = self._yaws(_numbers(labels, "yaw_deg", rows, 1)[:, 0])
        self._members = find_members(folder, self.names)
        self.images = images_of(self._members, memory_gb)

    @property
    def markup(self) -> Markup:
        """The markup that was given or is stored with the labels; else that of 68 or 66 points.

        Raises:
            ValueError: there is none, and the number of points does not tell.
        """
        return markup_of(self.points.shape[1], self.known_markup, self.path)

    @cached_property
    def image_digest(self) -> str:
        """A checksum of the stored images, in the order of the rows.

        Raises:
            ImageError: an image cannot be read.
        """
        return digest(self._members)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Sample:
        return Sample(
            name=self.names[row],
            image=self.images[row],
            points_img=self.points[row],
            weight=float(self.weights[row]),
            yaw_deg=float(self.yaw_deg[row]),
            given_box=Box(*self.boxes[row].tolist()) if np.isfinite(self.boxes[row]).all() else None,
            group=self.groups[row],
            # Without any, samples keep their default.
            markup=self.known_markup or MARKUP_68,
            source=self.sources[row],
            provenance=self.provenances[row],
            split=self.splits[row],
            openings=self.openings[row],
            taught=self.taught[row],
            hand2d=self.hand2d[row],
            visibility=self.visibility[row],
        )

    def _check(self, incomplete: bool) -> None:
        fine = np.isfinite(self.points)
        # Infinity is a mistake in any case.
        bad = np.flatnonzero(~(fine | (incomplete & np.isnan(self.points))).all(axis=(1, 2)))
        if len(bad):
            raise ValueError(f"{self.path}: row {self.names[bad[0]]} has a landmark that is not finite")
        bad = np.flatnonzero(~((self.weights > 0) & (self.weights <= 1)))
        if len(bad):
            raise ValueError(f"{self.path}: row {self.names[bad[0]]} has weight {self.weights[bad[0]]}; expected 0…1")
        for row, opening in enumerate(self.openings):
            if opening and opening not in OPENINGS:
                raise ValueError(
                    f"{self.path}: row {self.names[row]} has openings {opening!r}; expected {', '.join(OPENINGS)}, or "
                    "nothing"
                )
        bad = np.flatnonzero(~np.isin(self.visibility, VISIBILITIES).all(axis=1))
        if len(bad):
            found = sorted(set(self.visibility[bad[0]].tolist()) - set(VISIBILITIES))
            raise ValueError(
                f"{self.path}: row {self.names[bad[0]]} has a visibility of {found[0]}; "
                f"expected {', '.join(map(str, VISIBILITIES))}"
            )

    def _yaws(self, stored: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.known_markup is None or mean_head(self.known_markup) is None:
            return stored
        for row in np.flatnonzero(np.isnan(stored)):
            if np.isfinite(self.points[row]).all():
                stored[row] = head_pose(self.points[row], self.known_markup).yaw_deg
        return stored


def read_table(root: Path, split: str = "", markup: Markup | None = None) -> Samples:
    """The rows of a training table as samples, those with NaN included; of all splits by default.

    Each image is decoded when its row is reached, so a damaged one is an error of that row alone.

    Args:
        markup: of the points, where none is stored and they are not 68 or 66.

    Raises:
        FileNotFoundError, ValueError, ImageError: as ``Table``.
    """
    table = Table(root, split or None, memory_gb=0, incomplete=True, markup=markup)
    _ = table.markup
    return Samples(range(len(table)), table.__getitem__)


def _stored_markup(text: str, path: Path) -> Markup:
    try:
        return Markup.from_dict(json.loads(text))
    except (*MALFORMED, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: array markup is not the JSON of Markup.to_dict() ({error})") from error


def _points(stored: NDArray[np.float32]) -> NDArray[np.float32]:
    # The table stores z towards the camera; ours points away from it.
    points = (stored * np.array([1, 1, -1])).astype(np.float32)
    z = points[..., 2]
    marked = np.isfinite(z)
    count = np.maximum(1, marked.sum(axis=1, keepdims=True)).astype(np.float32)
    points[..., 2] -= np.where(marked, z, 0).sum(axis=1, keepdims=True) / count
    return points


def _text(labels: dict[str, NDArray[np.generic]], key: str, rows: NDArray[np.int64]) -> list[str]:
    return labels[key][rows].tolist() if key in labels else [""] * len(rows)


def _numbers(labels: dict[str, NDArray[np.generic]], key: str, rows: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    if key not in labels:
        return np.full((len(rows), n), math.nan)
    return labels[key][rows].astype(np.float64).reshape(len(rows), n)


def _of_landmarks(
    labels: dict[str, NDArray[Any]],
    key: str,
    rows: NDArray[np.int64],
    shape: tuple[int, ...],
    kind: type[np.generic],
    unknown: float,
) -> NDArray[Any]:
    if key not in labels:
        return np.full((len(rows), *shape), unknown, kind)
    return labels[key][rows].astype(kind)
