"""AFLW2000-3D in its original layout: ``imageNNNNN.jpg`` beside ``imageNNNNN.mat``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jvcr.data.formats.mat import fitted_yaw_deg, read_mat
from jvcr.data.reading import Samples, points_of, read_arrays, read_csv
from jvcr.data.sample import Sample
from jvcr.images import read_image

_FULL = 2000
_FEW, _RADIANS = 10, 3.2
"""If there are more yaws than the first number and all are below the second, they must be radians."""
_YAW_FILES = ("AFLW2000-3D.pose.npy", "yaw.csv", "yaw.npz")


def read_aflw2000(
    root: Path,
    labels: Literal["original", "reannotated"] = "original",
    yaw: Literal["fitted", "aflw"] = "fitted",
    yaw_file: Path | None = None,
    yaw_names: Path | None = None,
) -> Samples:
    """All faces, sorted by name, read one by one.

    ``pt3d_68`` is 1-based, so 1 is subtracted from x and y. Its z grows towards the camera and has an arbitrary offset:
    the sign is flipped and the mean is subtracted. The file's ``roi`` is a square in the original AFLW photo, not in
    this image, so it is not used as ``given_box``.

    Args:
        labels: ``original`` is ``pt3d_68``; ``reannotated`` is the 2D landmarks of ``reannotated.npz``, 0-based, z NaN.
        yaw: ``fitted`` is from ``Pose_Para``: 1312/383/305 of all 2,000 by bin. ``aflw`` is AFLW's own label
            (1306/462/232), from ``yaw_file``.
        yaw_file: ``.npy`` of yaws in degrees, one for each image in the folder, sorted by name, or 2,000 for the whole
            benchmark; ``.npz`` with ``id`` and ``yaw``; or ``.csv`` with these columns. By default it is searched in
            ``root``. Some files contain signed yaws and some |yaw|: only |yaw| is used, with the sign of the fitted
            one.
        yaw_names: text file with one name per line, if an ``.npy`` is not in the order of the folder.
    Raises:
        FileNotFoundError: no .mat file at all, no ``reannotated.npz``, or no file of yaws.
        ImageError: a .mat without its image.
        ValueError: a .mat file with unexpected content, or an image without a label or yaw.
    """
    paths = sorted(root.glob("image*.mat"))
    if not paths:
        raise FileNotFoundError(f"{root}: no image*.mat; expected AFLW2000-3D in its original layout")
    names = [path.stem for path in paths]
    points: dict[str, NDArray[np.float32]] | None = None
    if labels == "reannotated":
        targets = reannotated_targets(root, names)
        if targets is None:
            raise FileNotFoundError(f"{root / 'reannotated.npz'}: no such file; it holds the Reannotated labels")
        points = dict(zip(names, targets, strict=True))
    elif labels != "original":
        raise ValueError(f"labels {labels!r} are unknown; expected original or reannotated")
    yaws: dict[str, float] | None = None
    if yaw == "aflw":
        yaws = aflw_yaws(root, names, yaw_file, yaw_names)
    elif yaw != "fitted":
        raise ValueError(f"yaw {yaw!r} is unknown; expected fitted or aflw")
    return Samples(paths, partial(_read, reannotated=points, yaws=yaws))


def _read(path: Path, reannotated: dict[str, NDArray[np.float32]] | None, yaws: dict[str, float] | None) -> Sample:
    values = read_mat(path, ("pt3d_68", "Pose_Para"))
    yaw_deg = fitted_yaw_deg(values, path)
    if reannotated is not None:
        points = points_of(path.with_name("reannotated.npz"), reannotated[path.stem], base=0, z="away")
        provenance = "reannotated.npz, 0-based, 2D"
    else:
        if values["pt3d_68"].shape != (3, 68):
            raise ValueError(f"{path}: pt3d_68 has shape {values['pt3d_68'].shape}; expected (3, 68)")
        points = points_of(f"{path}: pt3d_68", values["pt3d_68"].T, base=1, z="towards", complete=True)
        provenance = f"{path.name} pt3d_68, 1-based, z towards the camera"
    if yaws is not None:
        yaw_deg = math.copysign(yaws[path.stem], yaw_deg)
    image = path.with_suffix(".jpg")
    return Sample(
        name=path.stem,
        image=read_image(image),
        points_img=points,
        yaw_deg=yaw_deg,
        group=path.stem,
        source="aflw2000-3d",
        provenance=provenance,
        file=image,
    )


def reannotated_targets(root: Path, names: list[str]) -> NDArray[np.float32] | None:
    """The Reannotated 2D landmarks (B, 68, 2) of the named images, 0-based pixels; None without ``reannotated.npz``.

    Raises:
        ValueError: an image has no landmarks, or they are not 68 finite pairs of x and y.
    """
    path = root / "reannotated.npz"
    if not path.is_file():
        return None
    arrays = read_arrays(path, ("id", "points2d"))
    names_there, values = arrays["id"].tolist(), arrays["points2d"]
    if values.shape != (len(names_there), 68, 2) or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: points2d are {values.dtype} of shape {values.shape}; expected numbers of shape "
            f"({len(names_there)}, 68, 2), one row for each id"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(f"{path}: the landmarks of {names_there[bad[0]]} are not all finite numbers")
    points = dict(zip(names_there, values.astype(np.float32), strict=True))
    return np.stack([points[name] for name in _all_there(names, points, path, "landmarks")])


def aflw_yaws(
    root: Path, names: list[str], yaw_file: Path | None = None, yaw_names: Path | None = None
) -> dict[str, float]:
    """AFLW's |yaw| in degrees, by name; see ``read_aflw2000``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not fit the images.
    """
    if yaw_file is None:
        yaw_file = next((root / name for name in _YAW_FILES if (root / name).is_file()), None)
        if yaw_file is None:
            raise FileNotFoundError(
                f"{root}: AFLW's own yaws are not part of AFLW2000-3D, and none of {', '.join(_YAW_FILES)} is here; "
                "give the file: option yaw_file=FILE (.npy, .npz or .csv), or use yaw=fitted"
            )
    if not yaw_file.is_file():
        raise FileNotFoundError(f"{yaw_file}: no such file; expected AFLW's yaws in degrees (.npy, .npz or .csv)")
    if yaw_file.suffix == ".npy":
        yaws = _yaws_in_order(yaw_file, names, yaw_names)
    elif yaw_file.suffix == ".npz":
        arrays = read_arrays(yaw_file, ("id", "yaw"))
        yaws = _by_name(arrays["id"].tolist(), arrays["yaw"].tolist(), yaw_file)
    else:
        columns, rows = read_csv(yaw_file)
        if not rows or not {"id", "yaw"} <= set(columns):
            raise ValueError(f"{yaw_file}: expected columns id and yaw, found {len(rows)} rows of {columns}")
        yaws = _by_name([row["id"] for row in rows], [row["yaw"] for row in rows], yaw_file)
    return {name: yaws[name] for name in _all_there(names, yaws, yaw_file, "yaw")}


def _yaws_in_order(path: Path, names: list[str], yaw_names: Path | None) -> dict[str, float]:
    try:
        values = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy's parser of damaged headers fails in many ways
        raise ValueError(f"{path}: cannot be read as an .npy file of numbers ({error})") from None
    order = names
    if yaw_names is not None:
        if not yaw_names.is_file():
            raise FileNotFoundError(f"{yaw_names}: no such file; expected the names of the yaws' images, one a line")
        order = [line.strip() for line in yaw_names.read_text(encoding="utf-8").splitlines() if line.strip()]
    if values.shape != (len(order),):
        hint = ""
        if yaw_names is None and values.shape == (_FULL,):
            hint = (
                f". It is in the order of all {_FULL:,} names, and this folder lacks some: give them in that order, "
                "option yaw_names=FILE, one name a line"
            )
        raise ValueError(f"{path}: shape {values.shape} for {len(order):,} images; expected one yaw an image{hint}")
    return _by_name(order, values.tolist(), path)


def _by_name(names: Sequence[object], yaws: Sequence[object], path: Path) -> dict[str, float]:
    if len(names) != len(yaws):
        raise ValueError(f"{path}: {len(names)} ids, but {len(yaws)} yaws")
    result: dict[str, float] = {}
    for name, yaw in zip(names, yaws, strict=True):
        try:
            value = abs(float(str(yaw)))
        except ValueError:
            raise ValueError(f"{path}: the yaw of {name} is {yaw!r}; expected degrees") from None
        if not value <= 180:
            raise ValueError(f"{path}: the yaw of {name} is {yaw}; expected degrees")
        result[Path(str(name)).stem] = value
    if len(result) > _FEW and max(result.values()) < _RADIANS:
        raise ValueError(
            f"{path}: the largest |yaw| of {len(result):,} images is {max(result.values()):.3g}; expected degrees, and "
            "these look like radians: multiply them by 180/π"
        )
    return result


def _all_there(names: list[str], values: Mapping[str, object], path: Path, what: str) -> list[str]:
    missing = [name for name in names if name not in values]
    if missing:
        raise ValueError(f"{path}: no {what} for {len(missing)} images, e.g. {missing[0]}")
    return names
