"""The arrays of a training table's ``labels.npz``, checked before anything is made of them.

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

_TEXTS = ("id", "split", "source", "group", "provenance", "openings")


def label_faults(arrays: Arrays) -> list[str]:
    """What is wrong with the arrays; an empty list if nothing is.

    Kinds and shapes come first: if one is wrong, values are not looked at. Rows are named by their ``id``.
    """
    missing = [key for key in NEEDED if key not in arrays]
    if missing:
        return [f"arrays {missing} are missing; found {sorted(arrays)}"]
    return list(_wrong_shapes(arrays)) or list(_wrong_values(arrays))


def readable(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays that can be read row by row: without optional ones of a wrong kind or shape.

    Returns:
        nothing where one that is needed is missing or wrong.
    """
    needed = {key: arrays[key] for key in NEEDED if key in arrays}
    if len(needed) < len(NEEDED) or any(_wrong_shapes(needed)):
        return {}
    optional = {key: arrays[key] for key in OPTIONAL if key in arrays}
    return needed | {key: value for key, value in optional.items() if not any(_wrong_shapes({**needed, key: value}))}


def _wrong_shapes(arrays: Arrays) -> Iterator[str]:
    ids, points = arrays["id"], arrays["points"]
    if ids.ndim != 1 or ids.dtype.kind != "U":
        yield _fault("id", ids, "one text per row")
        return
    rows = len(ids)
    if not rows:
        yield "array id is empty; expected at least one row"
        return
    if points.ndim != 3 or points.shape[2] != 3 or points.shape[1] < 2 or points.dtype.kind not in "fiu":
        yield _fault("points", points, "numbers of shape (rows, at least 2, 3)")
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
    for key in _TEXTS[1:]:
        if key in arrays and (arrays[key].shape != (rows,) or arrays[key].dtype.kind != "U"):
            yield _fault(key, arrays[key], f"one text for each of the {rows} ids")
    for key, shape in shapes.items():
        if key in arrays and (arrays[key].shape != (rows, *shape) or arrays[key].dtype.kind not in "fiu"):
            yield _fault(key, arrays[key], f"numbers of shape {(rows, *shape)}, one row for each id")


def _wrong_values(arrays: Arrays) -> Iterator[str]:
    ids = arrays["id"].tolist()
    empty = [name for name in ids if not name.strip() or "\0" in name]
    if empty:
        yield f"array id holds {empty[0]!r}; expected names of images"
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        yield f"array id holds {twice[0]!r} more than once; expected one row per image"
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


def _fault(key: str, values: NDArray[Any], expected: str) -> str:
    return f"array {key} is {_kind(values)} of shape {values.shape}; expected {expected}"


def _kind(values: NDArray[Any]) -> str:
    return {"U": "text", "S": "bytes", "O": "objects"}.get(values.dtype.kind, str(values.dtype))
