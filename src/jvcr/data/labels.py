"""Validation of the arrays in a training table's ``labels.npz``.

``Table`` (training, evaluation, conversion) refuses a file at its first fault; ``jvcr data check`` lists all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

NEEDED = ("id", "split", "points", "weight", "source")
OPTIONAL = ("group", "provenance", "openings", "yaw_deg", "box", "origin", "hand2d", "visibility")

OPENINGS = ("hand", "mesh", "exact", "model")
"""Allowed values of ``openings``, besides "" for unknown."""
VISIBILITIES = (-1, 0, 1, 2)
"""Allowed values of ``visibility``."""
LARGEST_PX = 1e6
"""Coordinates beyond this are errors: no image is that large."""

_TEXTS = ("id", "split", "source", "group", "provenance", "openings")


def label_faults(arrays: Arrays) -> list[str]:
    """Faults that make the arrays unusable for every command; an empty list if there are none.

    If a type or a shape is wrong, the values are not checked. Rows are named by their ``id``. Faults of single rows
    are found by ``row_faults``.
    """
    missing = [key for key in NEEDED if key not in arrays]
    if missing:
        return [f"arrays {missing} are missing; found {sorted(arrays)}"]
    return list(_wrong_shapes(arrays)) or list(_wrong_values(arrays))


def readable(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays that can be read row by row: without optional ones of a wrong type or shape.

    Returns:
        An empty dictionary if a required array is missing or wrong.
    """
    needed = {key: arrays[key] for key in NEEDED if key in arrays}
    if len(needed) < len(NEEDED) or any(_wrong_shapes(needed)):
        return {}
    optional = {key: arrays[key] for key in OPTIONAL if key in arrays}
    return needed | {key: value for key, value in optional.items() if not any(_wrong_shapes({**needed, key: value}))}


def row_faults(arrays: Arrays, rows: NDArray[np.int64], incomplete: bool) -> list[str]:
    """Faults of single rows: one message for each kind of fault, about the first row that has it.

    ``jvcr data check`` has a finding of its own for each kind, with the same text.

    Args:
        arrays: without ``label_faults``.
        rows: the rows to check.
        incomplete: rows may hold unmarked landmarks, or labels without depth.
    """
    return list(_wrong_rows({key: values[rows] for key, values in arrays.items() if values.ndim}, incomplete))


def _wrong_rows(arrays: Arrays, incomplete: bool) -> Iterator[str]:
    ids = arrays["id"].tolist()
    # As the networks get them. The offset of z is removed later.
    points = arrays["points"].astype(np.float64)
    for row in np.flatnonzero(~np.isfinite(points).all(axis=(1, 2))):
        # Incomplete labels are a matter of single rows: conversion leaves them out by name. Infinity is a mistake.
        wrong = np.isinf(points[row]).any(axis=1) if incomplete else broken_landmarks(points[row], strict=True)
        bad = np.flatnonzero(wrong)
        if len(bad):
            yield landmarks_fault(ids[row], bad)
            break
    if not incomplete:
        for row in np.flatnonzero((np.ptp(points[..., :2], axis=1) <= 0).any(axis=1))[:1]:
            yield extent_fault(ids[row])
    weights = arrays["weight"].astype(np.float64)
    for row in np.flatnonzero(~((weights > 0) & (weights <= 1)))[:1]:
        yield weight_fault(ids[row], float(arrays["weight"][row]))
    for name, opening in zip(ids, arrays["openings"].tolist() if "openings" in arrays else (), strict=False):
        if opening and opening not in OPENINGS:
            yield openings_fault(name, opening)
            break
    if "visibility" in arrays:
        unknown = ~np.isin(arrays["visibility"], VISIBILITIES)
        for row in np.flatnonzero(unknown.any(axis=1))[:1]:
            yield visibility_fault(ids[row], arrays["visibility"][row][unknown[row]].tolist()[0])


def broken_landmarks(points: NDArray[np.float64], strict: bool) -> NDArray[np.bool_]:
    """(N,) landmarks of (N, 3) that break the rules of ``Sample``; with ``strict``, all that are not finite."""
    finite = np.isfinite(points)
    if strict:
        return np.asarray(~finite.all(axis=1))
    placed = finite[:, :2].all(axis=1)
    missing = np.isnan(points).all(axis=1)
    # 2D labels have NaN in every z. If one landmark has a z, all marked ones need one.
    flat = not finite[placed, 2].any()
    return np.asarray(~(missing | (placed & (np.isnan(points[:, 2]) if flat else finite[:, 2]))))


def landmarks_fault(name: str, bad: NDArray[np.int64]) -> str:
    """The message for ``broken_landmarks``; ``bad`` holds their numbers."""
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"row {name} has a landmark that is not finite, or incomplete: number {bad[0]} of array points{more}"


def extent_fault(name: str) -> str:
    """The message for a label whose landmark box is empty."""
    return f"row {name} has an empty landmark box: the x or y of all its points are equal"


def weight_fault(name: str, weight: float) -> str:
    """The message for a weight that is out of range."""
    return f"row {name} has weight {weight:g}; expected above 0, at most 1"


def openings_fault(name: str, value: str) -> str:
    """The message for an unknown value of ``openings``."""
    return f"row {name} has openings {value!r}; expected {', '.join(OPENINGS)}, or nothing"


def visibility_fault(name: str, value: float) -> str:
    """The message for an unknown value of ``visibility``."""
    return f"row {name} has a visibility of {value:g}; expected {', '.join(map(str, VISIBILITIES))}"


def duplicate_fault(name: str) -> str:
    """The message for an ``id`` that several rows have."""
    return f"array id holds {name!r} more than once; expected one row per image"


def _wrong_shapes(arrays: Arrays) -> Iterator[str]:
    ids, points = arrays["id"], arrays["points"]
    if ids.ndim != 1 or ids.dtype.kind != "U":
        yield array_fault("id", ids, "one text per row")
        return
    rows = len(ids)
    if not rows:
        yield "array id is empty; expected at least one row"
        return
    if points.ndim != 3 or points.shape[2] != 3 or points.shape[1] < 2 or points.dtype.kind not in "fiu":
        yield array_fault("points", points, "numbers of shape (rows, at least 2, 3)")
        return
    shapes = {
        "points": points.shape[1:],
        "weight": (),
        "yaw_deg": (),
        "box": (4,),
        "origin": (3,),
        "hand2d": (points.shape[1], 2),
        "visibility": (points.shape[1],),
    }
    # Categories: a NaN or a fraction would silently become one of them.
    whole = {"visibility"}
    for key in _TEXTS[1:]:
        if key in arrays and (arrays[key].shape != (rows,) or arrays[key].dtype.kind != "U"):
            yield array_fault(key, arrays[key], f"one text for each of the {rows} ids")
    for key, shape in shapes.items():
        kinds, what = ("iu", "whole numbers") if key in whole else ("fiu", "numbers")
        if key in arrays and (arrays[key].shape != (rows, *shape) or arrays[key].dtype.kind not in kinds):
            yield array_fault(key, arrays[key], f"{what} of shape {(rows, *shape)}, one row for each id")


def _wrong_values(arrays: Arrays) -> Iterator[str]:
    ids = arrays["id"].tolist()
    empty = [name for name in ids if not name.strip() or "\0" in name]
    if empty:
        yield f"array id holds {empty[0]!r}; expected names of images"
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        yield duplicate_fault(twice[0])
    points = arrays["points"].astype(np.float64)
    for row in np.flatnonzero(((np.abs(points) > LARGEST_PX) & np.isfinite(points)).any(axis=(1, 2)))[:1]:
        value = points[row][np.isfinite(points[row])]
        yield (
            f"row {ids[row]} has {value[np.abs(value).argmax()]:g} in array points; "
            f"expected pixels, at most {LARGEST_PX:,.0f} from 0"
        )
    if "hand2d" in arrays:
        marks = arrays["hand2d"].astype(np.float64)
        for row in np.flatnonzero(np.isinf(marks).any(axis=(1, 2)))[:1]:
            yield f"row {ids[row]} has an infinite number in array hand2d; expected pixels, or NaN for no mark"
    if "box" in arrays:
        boxes = arrays["box"].astype(np.float64)
        known = ~np.isnan(boxes).all(axis=1)
        fine = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        for row in np.flatnonzero(known & ~fine)[:1]:
            yield f"row {ids[row]} has box {boxes[row].tolist()}; expected x0 < x1 and y0 < y1, or NaN for no box"
    if "origin" in arrays:
        origin = arrays["origin"].astype(np.float64)
        known = ~np.isnan(origin).all(axis=1)
        fine = np.isfinite(origin).all(axis=1) & (origin[:, 2] > 0)
        for row in np.flatnonzero(known & ~fine)[:1]:
            yield f"row {ids[row]} has origin {origin[row].tolist()}; expected x, y and a scale above 0, or NaN"
    if "yaw_deg" in arrays:
        for row in np.flatnonzero(np.isinf(arrays["yaw_deg"].astype(np.float64)))[:1]:
            yield f"row {ids[row]} has yaw_deg {arrays['yaw_deg'][row]}; expected degrees, or NaN where it is unknown"


def array_fault(key: str, values: NDArray[Any], expected: str) -> str:
    """The message for an array of a wrong type or shape."""
    return f"array {key} is {_kind(values)} of shape {values.shape}; expected {expected}"


def _kind(values: NDArray[Any]) -> str:
    return {"U": "text", "S": "bytes", "O": "objects"}.get(values.dtype.kind, str(values.dtype))
