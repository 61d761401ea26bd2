"""What all readers share: the iterator over a data set, and raw labels → our frame."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jvcr.data.sample import Sample
from jvcr.files import MALFORMED
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Markup

DepthSign = Literal["towards", "away"]
"""Direction in which z grows in a label file. Ours is away from the camera."""

KNOWN_MARKUPS = {68: MARKUP_68, 66: MARKUP_66}
"""By the number of points."""

_Entry = TypeVar("_Entry")


class Samples(Iterator[Sample]):
    """The samples of a data set, read lazily.

    An unreadable sample raises its error, and iteration can continue: the next ``next()`` returns the sample after it.
    ``len()`` includes unreadable samples.

    Attributes:
        notes: what the reader left out on purpose, one readable line each.
        left_out: name and reason of each sample that the reader could not use (not counted by ``len()``).
    """

    def __init__(
        self,
        entries: Sequence[_Entry],
        read: Callable[[_Entry], Sample],
        notes: Sequence[str] = (),
        left_out: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._count = len(entries)
        # Unlike a generator, a map survives an error of its function.
        self._samples: Iterator[Sample] = map(read, entries)
        self.notes = tuple(notes)
        self.left_out = tuple(left_out)

    def __len__(self) -> int:
        return self._count

    def __next__(self) -> Sample:
        return next(self._samples)


def points_from(raw: ArrayLike, base: float, z: DepthSign, complete: bool = False) -> NDArray[np.float32]:
    """Labels as stored in a file → (N, 3) ``Sample.points_img``.

    Args:
        raw: (N, 2) or (N, 3) x, y (, z). A landmark with NaN in x and y is unmarked. If z is NaN everywhere, the
            labels are 2D.
        base: coordinate of the first pixel's centre: 1 in files of MATLAB, 0 in most others. Subtracted from x and y.
        z: the direction in which the file's z grows. The mean of z over the marked landmarks is subtracted.
        complete: the format has no unmarked landmarks: refuse any NaN.
    Raises:
        ValueError: wrong shape; infinity; NaN in only one of x and y, or in z of some marked landmarks. The message has
            the landmark's number; callers add the file.
    Example: ``points_from([[1, 1, 5], [4, 3, 7]], 1, "towards")`` is ``[[0, 0, 1], [3, 2, -1]]``.
    """
    values = np.asarray(raw, np.float64)
    if values.ndim != 2 or values.shape[1] not in (2, 3):
        raise ValueError(f"expected N rows of x, y or x, y, z; found shape {values.shape}")
    _check_landmarks(values, complete)
    marked = np.isfinite(values[:, :2]).all(axis=1)
    if values.shape[1] == 3 and np.isnan(values[marked, 2]).all():
        values = values[:, :2]
    points = np.full((len(values), 3), np.nan)
    points[marked, : values.shape[1]] = values[marked]
    points[:, :2] -= base
    if values.shape[1] == 3 and marked.any():
        points[:, 2] -= points[marked, 2].mean()
        if z == "towards":
            points[:, 2] *= -1
    return points.astype(np.float32)


def _check_landmarks(values: NDArray[np.float64], complete: bool) -> None:
    unknown = np.isnan(values)
    marked = ~unknown[:, :2].any(axis=1)
    for wrong, what in (
        (np.isinf(values).any(axis=1), "is infinite; expected numbers"),
        (complete & unknown.any(axis=1), "is NaN; in this format every landmark has all its coordinates"),
        (unknown[:, 0] != unknown[:, 1], "has NaN in one of x and y; expected it in both, for a landmark not marked"),
        (
            marked & unknown[:, 2:].any(axis=1) & (not unknown[marked, 2:].all()),
            "has NaN in z, but others have a depth; expected a z in all marked landmarks, or in none",
        ),
    ):
        if wrong.any():
            number = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"landmark {number} (from 0) {what}; found {values[number].tolist()}")


def points_of(where: object, raw: ArrayLike, base: float, z: DepthSign, complete: bool = False) -> NDArray[np.float32]:
    """``points_from`` with errors that start with ``where``: the file (and row) of the labels."""
    try:
        return points_from(raw, base, z, complete)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def markup_of(n_points: int, given: Markup | None, where: object) -> Markup:
    """The given markup of a data set, or the default for 68 or 66 points.

    Raises:
        ValueError: none is given and ``n_points`` is neither 68 nor 66; or the given one has another number of points.
    """
    if given is None:
        if n_points not in KNOWN_MARKUPS:
            raise ValueError(
                f"{where}: {n_points} points a face; their names and mirror pairs are not known. Give a markup: "
                "option markup=FILE.toml (docs/markup.md), or the array markup of a table (docs/datasets.md)"
            )
        return KNOWN_MARKUPS[n_points]
    if given.n_points != n_points:
        raise ValueError(f"{where}: {n_points} points a face, but markup {given.name!r} has {given.n_points}")
    return given


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON; the line is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected JSON")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except MALFORMED as error:
        raise ValueError(f"{path}: not JSON ({error})") from None


def read_arrays(path: Path, needed: Sequence[str]) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or one of ``needed`` is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected an .npz file")
    try:
        with np.load(path) as file:
            arrays = {key: plain_array(file, key) for key in file.files}
    except Exception as error:  # a zip file that is cut off fails in many ways
        raise ValueError(f"{path}: cannot be read as an .npz file of plain arrays ({error})") from error
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise ValueError(f"{path}: arrays {missing} are missing; found {sorted(arrays)}")
    try:
        check_text(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return arrays


def plain_array(file: Mapping[str, Any], key: str) -> NDArray[Any]:
    """An array of an open ``.npz`` file. NumPy gives the bytes of a member that is damaged at its start.

    Raises:
        ValueError: it is not an array.
    """
    values = file[key]
    if not isinstance(values, np.ndarray):
        raise ValueError(f"member {key} is not an array")
    return values


def check_text(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for an array of text with numbers that are not Unicode: NumPy loads any, Python's text fails."""
    for key, values in arrays.items():
        if values.dtype.kind == "U":
            codes = np.frombuffer(values.tobytes(), np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
            if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
                raise ValueError(f"array {key} has characters that are not Unicode")


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns that the header of a CSV file names, and its rows.

    Raises:
        ValueError: not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error})") from None


def only_file(root: Path, pattern: str) -> Path:
    """``root`` itself if it is a file, otherwise the only file in it that matches the pattern.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: several match.
    """
    if root.is_file():
        return root
    found = sorted(root.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{root}: no {pattern} file; give the file itself or a folder that holds one")
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise ValueError(f"{root}: {len(found)} {pattern} files ({names}, …); give one of them")
    return found[0]
