"""The labels of AFLW2000-3D that scoring needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.data.formats.aflw2000 import aflw_yaws, read_aflw2000, reannotated_targets
from jvcr.data.formats.mat import read_mat
from jvcr.evaluate.pose import PoseTruth
from jvcr.images import Image, read_image
from jvcr.markups.markup import MARKUP_68, Markup

NO_REANNOTATED = "not measurable: no reannotated.npz in the folder"
NO_AFLW_YAW = "not measurable: file not given (--aflw-yaw)"


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels of B images, sorted by name.

    Attributes:
        original_img: (B, 68, 3) image pixels, 0-based, z away from the camera, z mean 0.
        reannotated_img: (B, 68, 2) image pixels, 0-based; or a text that says why there are none.
        fitted_yaw_deg: (B,) from ``Pose_Para``, with our sign.
        aflw_yaw_deg: (B,) from AFLW's own labels; or a text that says why there are none.
        pose: head pose of the true landmarks and of ``Pose_Para``.
        root: the folder of the images.
        markup: of the labels.
    """

    names: list[str]
    original_img: NDArray[np.float32]
    reannotated_img: NDArray[np.float32] | str
    fitted_yaw_deg: NDArray[np.float64]
    aflw_yaw_deg: NDArray[np.float64] | str
    pose: PoseTruth
    root: Path
    markup: Markup = MARKUP_68

    def image(self, name: str) -> Image:
        """(H, W, 3) uint8 RGB, read from the folder."""
        return read_image(self.root / f"{name}.jpg")

    @property
    def labels(self) -> dict[str, NDArray[np.float32] | str]:
        """By name: (B, 68, 3) or (B, 68, 2), or a text that says why there are none."""
        return {"original": self.original_img, "Reannotated": self.reannotated_img}

    @property
    def yaws(self) -> dict[str, NDArray[np.float64] | str]:
        """By name: (B,) degrees, or a text that says why there are none."""
        return {"fitted": self.fitted_yaw_deg, "AFLW": self.aflw_yaw_deg}


def read_truth(
    root: Path, aflw_yaw: Path | None = None, aflw_yaw_names: Path | None = None, without: Collection[str] = ()
) -> Truth:
    """Labels of all images of a folder in AFLW2000-3D's layout.

    Args:
        aflw_yaw, aflw_yaw_names: ``yaw_file`` and ``yaw_names`` of ``read_aflw2000``.
        without: names of images to exclude.

    Raises:
        FileNotFoundError, ImageError: as ``read_aflw2000``, ``reannotated_targets``, ``aflw_yaws``.
        ValueError: as these; or an excluded name is not in the folder, or no image is left.
    """
    samples = [(s.name, s.points_img, s.yaw_deg) for s in read_aflw2000(root)]
    absent = set(without) - {name for name, _, _ in samples}
    if absent:
        raise ValueError(
            f"{root}: {len(absent)} of the {len(without)} images to exclude are not in it, e.g. {min(absent)}"
        )
    samples = [sample for sample in samples if sample[0] not in without]
    if not samples:
        raise ValueError(f"{root}: every image is excluded")
    names = [name for name, _, _ in samples]
    original = np.stack([points for _, points, _ in samples])
    pose_para = np.array([_pose_para(root / f"{name}.mat") for name in names])
    reannotated = reannotated_targets(root, names)
    return Truth(
        names=names,
        original_img=original,
        reannotated_img=NO_REANNOTATED if reannotated is None else reannotated,
        fitted_yaw_deg=np.array([yaw for _, _, yaw in samples]),
        aflw_yaw_deg=_aflw_yaws(root, names, aflw_yaw, aflw_yaw_names),
        pose=PoseTruth.of(original, pose_para),
        root=root,
    )


def _aflw_yaws(root: Path, names: list[str], path: Path | None, order: Path | None) -> NDArray[np.float64] | str:
    try:
        yaws = aflw_yaws(root, names, path, order)
    except FileNotFoundError:
        if path is not None or order is not None:
            raise
        return NO_AFLW_YAW
    return np.array([yaws[name] for name in names])


def _pose_para(path: Path) -> NDArray[np.float64]:
    """Pitch, yaw, roll in radians."""
    return np.asarray(read_mat(path, ("Pose_Para",))["Pose_Para"][0, :3], np.float64)
