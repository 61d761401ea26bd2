"""The MATLAB files of 300W-LP and AFLW2000-3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io


def read_mat(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of a .mat file.

    Raises:
        ValueError: not a MATLAB file, or an array is missing.
    """
    try:
        values = scipy.io.loadmat(path)
    except Exception as error:  # the parser fails on damaged bytes in many ways
        raise ValueError(f"{path}: cannot be read as a MATLAB file ({error})") from error
    if any(key not in values for key in needed):
        found = sorted(key for key in values if not key.startswith("_"))
        raise ValueError(f"{path}: expected {' and '.join(needed)}, found {found}")
    return values


def fitted_yaw_deg(values: dict[str, Any], path: Path) -> float:
    """Our yaw from ``Pose_Para``, where positive yaw is a face turned to the image's left."""
    pose = np.asarray(values["Pose_Para"], np.float64)
    if pose.shape != (1, 7):
        raise ValueError(f"{path}: Pose_Para has shape {pose.shape}; expected (1, 7)")
    if not np.isfinite(pose[0, :3]).all():
        raise ValueError(f"{path}: Pose_Para's angles are {pose[0, :3].tolist()}; expected finite numbers, in radians")
    return float(-np.degrees(pose[0, 1]))
