"""Yaw of the benchmark's images from a file of the user, e.g. AFLW's own labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FORMS = (
    "expected .npy with one yaw a image in the images' sorted order, .npz with id and yaw_deg, or .csv lines id,yaw_deg"
)


def read_yaw_file(path: Path, names: list[str]) -> NDArray[np.float64]:
    """(B,) yaw in degrees of the named images. Only its size matters for the bins, not its sign.

    A plain ``.npy`` has no names: it is taken only when its length is that of ``names``, sorted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another form, another length, an image without yaw, or a value beyond ±180°.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {_FORMS}")
    if path.suffix == ".npy":
        yaw = _plain(path, names)
    else:
        known = _by_name(path)
        without = [name for name in names if name not in known]
        if without:
            raise ValueError(f"{path}: no yaw for {len(without)} of {len(names)} images, e.g. {without[0]}; {_FORMS}")
        yaw = np.array([known[name] for name in names], np.float64)
    bad = np.flatnonzero(~(np.abs(yaw) <= 180))
    if len(bad):
        raise ValueError(f"{path}: yaw of {names[bad[0]]} is {yaw[bad[0]]}; expected degrees, −180…180")
    return yaw


def _plain(path: Path, names: list[str]) -> NDArray[np.float64]:
    try:
        yaw = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {_FORMS}") from error
    if yaw.shape != (len(names),) or yaw.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: {yaw.dtype} of shape {yaw.shape}, but there are {len(names)} images; without names it cannot be "
            f"matched: give an .npz or .csv with ids"
        )
    return yaw.astype(np.float64)


def _by_name(path: Path) -> dict[str, float]:
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                return dict(zip(file["id"].tolist(), file["yaw_deg"].astype(float).tolist(), strict=True))
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [row for row in csv.reader(file) if row]
            if rows and rows[0][:1] == ["id"]:
                rows = rows[1:]
            return {name: float(value) for name, value in rows}
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {_FORMS}") from error
    raise ValueError(f"{path}: ending {path.suffix!r} is unknown; {_FORMS}")
