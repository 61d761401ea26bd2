"""The training table: ``labels.npz`` with one row per face, and tar files that contain ``ID.webp`` crops.

Arrays read from ``labels.npz``: ``id``, ``split``, ``points`` (rows, N, 3) in pixels of the stored crop with z
*towards* the camera, ``weight``, ``source``; and, if present, ``group``, ``yaw_deg``, ``box``, ``origin``,
``provenance``, ``markup``, ``openings``, ``hand2d`` and ``visibility`` (see ``Sample``). Tar files are
read from the same folder; members without a row are ignored.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.labels import NEEDED, label_faults, row_faults
from jvcr.data.reading import KNOWN_MARKUPS, Samples, markup_of, read_arrays
from jvcr.data.sample import Sample
from jvcr.data.tars import digest, find_members, images_of, without_damaged
from jvcr.files import MALFORMED
from jvcr.frames import Box
from jvcr.geometry import head_pose, mean_head
from jvcr.markups.markup import MARKUP_68, Markup

MEMORY_GB = 4.0

_UNTRUSTED = "model"


@dataclass(frozen=True, eq=False)
class StoredLabels:
    """The content of ``labels.npz``.

    Attributes:
        arrays: all arrays of the file, by name.
        markup: the stored markup; None if there is none, or if it is damaged or has another number of points.
        faults: reasons to refuse the file, without its name; empty if it is usable.
    """

    arrays: dict[str, NDArray[Any]]
    markup: Markup | None
    faults: tuple[str, ...]


def read_labels(path: Path) -> StoredLabels:
    """Read and validate ``labels.npz``. Training, evaluation, conversion and ``jvcr data check`` all use this.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not an ``.npz`` file of plain arrays, or a required array is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a training table (labels.npz and *.tar)")
    arrays = read_arrays(path, NEEDED)
    faults = label_faults(arrays)
    markup = None
    if "markup" in arrays:
        try:
            markup = _stored_markup(str(arrays["markup"]), path)
            if arrays["points"].ndim == 3:
                markup_of(arrays["points"].shape[1], markup, path)
        except ValueError as error:
            markup = None
            faults.append(str(error).removeprefix(f"{path}: "))
    return StoredLabels(arrays, markup, tuple(faults))


class Table:
    """The rows of one split.

    Decoded images are kept in memory, 3 bytes per pixel (43 kB for a crop of 120 × 120). If that would take more than
    ``memory_gb``, each image is decoded from its tar file when it is needed.

    Attributes:
        points: (rows, N, 3) float32 as ``Sample.points_img``.
        yaw_deg: (rows,) as stored; otherwise from the head pose, if the markup has one; otherwise NaN.
        openings: source of the eye and mouth openings; "" if unknown.
        taught: (rows, N) which landmarks a network may learn from: all, except lids and inner lips whose openings come
            from a face model.
        hand2d: (rows, N, 2) float32, pixels of the stored image; NaN if missing.
        visibility: (rows, N) int8, -1 if unknown.
        origin: (rows, 3) float64: position (x, y) of the crop's first pixel in the original image, and the width of a
            stored pixel in original pixels; NaN if unknown.
    """

    def __init__(
        self,
        folder: Path,
        split: str | None,
        memory_gb: float = MEMORY_GB,
        incomplete: bool = False,
        markup: Markup | None = None,
        left_out: list[str] | None = None,
    ) -> None:
        """Read the labels of a split (None: all splits) and find its images.

        Args:
            memory_gb: limit for the decoded images of this split, in 10⁹ bytes.
            incomplete: also accept rows with NaN: unmarked landmarks, or labels without depth.
            markup: markup of the points; overrides the stored one.
            left_out: if given, rows whose image is damaged are left out, and a line with id and reason is appended
                for each. All images are then decoded once more.
        Raises:
            FileNotFoundError: no ``labels.npz``, or an image is in no tar file.
            ValueError: the labels are not as described above, or rows are incomplete.
            ImageError: an image is damaged. If images are not kept in memory, this is raised when it is needed.
        """
        path = folder / "labels.npz"
        stored = read_labels(path)
        if stored.faults:
            raise ValueError(f"{path}: {stored.faults[0]}")
        labels = stored.arrays
        rows = np.arange(len(labels["id"])) if split is None else np.flatnonzero(labels["split"] == split)
        if not len(rows):
            raise ValueError(f"{path}: no row has split {split!r}; found {sorted(set(labels['split'].tolist()))}")
        faults = row_faults(labels, rows, incomplete)
        if faults:
            raise ValueError(f"{path}: {faults[0]}")
        members = find_members(folder, labels["id"][rows].tolist())
        if left_out is not None:
            before = len(left_out)
            good = without_damaged(members, left_out)
            if not good:
                raise ValueError(f"{path}: no image of split {split!r} can be decoded; the first: {left_out[before]}")
            rows, members = rows[good], [members[place] for place in good]
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
        if markup is None:
            markup = stored.markup
        if markup is not None:
            markup_of(self.points.shape[1], markup, path)
        self.known_markup = markup or KNOWN_MARKUPS.get(self.points.shape[1])
        self.taught = np.ones(self.points.shape[:2], bool)
        if self.known_markup is not None:
            untrusted = np.array([opening == _UNTRUSTED for opening in self.openings])
            rims = np.array(self.known_markup.rims, int)
            self.taught[np.flatnonzero(untrusted)[:, None], rims] = False
        self.yaw_deg = self._yaws(_numbers(labels, "yaw_deg", rows, 1)[:, 0])
        self._members = members
        self.images = images_of(self._members, memory_gb)

    @property
    def markup(self) -> Markup:
        """The given or stored markup; otherwise the default for 68 or 66 points.

        Raises:
            ValueError: there is none, and the number of points is neither 68 nor 66.
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
            # Without a markup, samples keep their default.
            markup=self.known_markup or MARKUP_68,
            source=self.sources[row],
            provenance=self.provenances[row],
            split=self.splits[row],
            openings=self.openings[row],
            taught=self.taught[row],
            hand2d=self.hand2d[row],
            visibility=self.visibility[row],
        )

    def _yaws(self, stored: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.known_markup is None or mean_head(self.known_markup) is None:
            return stored
        for row in np.flatnonzero(np.isnan(stored)):
            if np.isfinite(self.points[row]).all():
                stored[row] = head_pose(self.points[row], self.known_markup).angles("zyx").yaw_deg
        return stored


def read_table(root: Path, split: str = "", markup: Markup | None = None) -> Samples:
    """The rows of a training table as samples, including rows with NaN; all splits by default.

    Each image is decoded when its row is reached, so a damaged image fails only its own row.

    Args:
        markup: markup of the points; overrides the stored one.

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
