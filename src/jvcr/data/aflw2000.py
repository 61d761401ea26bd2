"""AFLW2000-3D in its original layout: ``imageNNNNN.jpg`` beside ``imageNNNNN.mat``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.images import read_image


def read_aflw2000(root: Path) -> Iterator[Sample]:
    """All faces, sorted by name, read one after the other.

    ``pt3d_68`` is 1-based, so 1 is subtracted from x and y. It holds z towards the camera with an arbitrary offset:
    the sign is turned and the mean removed. Yaw is ``Pose_Para``'s (fitted): 1312/383/305 of all 2,000 by bin.

    Raises:
        FileNotFoundError: no .mat file at all.
        ImageError: a .mat without its image.
        ValueError: a .mat of another form.
    """
    paths = sorted(root.glob("image*.mat"))
    if not paths:
        raise FileNotFoundError(f"{root}: no image*.mat; expected AFLW2000-3D in its original layout")
    return map(_read, paths)


def _read(path: Path) -> Sample:
    values = scipy.io.loadmat(path)
    if "pt3d_68" not in values or "Pose_Para" not in values:
        raise ValueError(f"{path}: expected pt3d_68 and Pose_Para, found {sorted(k for k in values if k[0] != '_')}")
    points = values["pt3d_68"].T.astype(np.float64)
    if points.shape != (68, 3):
        raise ValueError(f"{path}: pt3d_68 has shape {values['pt3d_68'].shape}; expected (3, 68)")
    points[:, :2] -= 1
    points[:, 2] = points[:, 2].mean() - points[:, 2]
    return Sample(
        name=path.stem,
        image=read_image(path.with_suffix(".jpg")),
        points_img=points.astype(np.float32),
        # Pose_Para's yaw is positive for a face turned to the image's left.
        yaw_deg=float(-np.degrees(values["Pose_Para"][0, 1])),
    )


def reannotated_targets(root: Path, names: list[str]) -> NDArray[np.float32] | None:
    """The Reannotated 2D landmarks (B, 68, 2) of the named images, 0-based pixels; None without ``reannotated.npz``.

    Raises:
        ValueError: an image has none.
    """
    path = root / "reannotated.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        points = dict(zip(file["id"].tolist(), file["points2d"].astype(np.float32), strict=True))
    missing = [name for name in names if name not in points]
    if missing:
        raise ValueError(f"{path}: no landmarks for {len(missing)} images, e.g. {missing[0]}")
    return np.stack([points[name] for name in names])
