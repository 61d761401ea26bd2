"""300W-LP in its original layout: ``SET/NAME_k.jpg`` and ``landmarks/SET/NAME_k_pts.mat``, with ``pts_3d`` (68×2).

The files do not contain z. It is recovered from the views of a face (``NAME_0``, ``NAME_1``, …) without a face model,
or read from a file that you provide.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jvcr.data.formats.factorise import NotSolvable, depth_from_views
from jvcr.data.formats.mat import fitted_yaw_deg, read_mat
from jvcr.data.reading import DepthSign, Samples, points_of, read_arrays
from jvcr.data.sample import Sample
from jvcr.frames import mirrored
from jvcr.geometry import head_pose
from jvcr.images import read_image
from jvcr.markups.markup import MARKUP_68

_NOSE_TIP, _JAW_ENDS = 30, (0, 16)
_LISTED = 5


@dataclass(frozen=True)
class _Bad:
    """An image without usable labels; reading it raises the reason."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class _View:
    """One image. ``points`` (68, 3) as ``Sample.points_img``; for a flipped image, those of the original."""

    image: Path
    points: NDArray[np.float32]
    face: str
    provenance: str
    flipped: bool = False


def read_300w_lp(
    root: Path,
    subsets: str = "",
    depth: Path | None = None,
    depth_z: DepthSign = "towards",
    unsolved: Literal["stop", "skip"] = "stop",
    flips: bool = False,
) -> Samples:
    """All faces, sorted by name. All landmark files are read at once, images one by one.

    An unreadable landmark file is an error of its own image, raised when that image is read. The other views of the
    face fail too if they do not determine z without it.

    ``pts_3d`` is 1-based. Yaw is from ``SET/NAME_k.mat`` (``Pose_Para``) if it exists, otherwise from the head pose of
    the recovered 3D points. The group is the photo: the views of all faces in it, and their flipped versions. The
    ``roi`` in the ``.mat`` files is a square in another image, so it is not used as ``given_box``.

    Args:
        subsets: e.g. ``AFW,IBUG``; all by default.
        depth: an ``.npz`` with ``id`` (M,), ``NAME_k`` or ``SET/NAME_k``, and ``z`` (M, 68) or ``points`` (M, 68, 3),
            in pixels of the images. Only z is used. By default z is recovered from the views.
        depth_z: direction in which that z grows.
        unsolved: what to do if the views of a face do not determine z: stop and list these faces, or skip them and
            report them (``Samples.notes``, ``Samples.left_out``).
        flips: also read ``SET_Flip``: the mirror images, with mirrored landmarks. Training does its own mirroring.
    Raises:
        FileNotFoundError: no landmarks, or a given folder or file does not exist.
        ValueError: z of some faces is unknown. When an image is read: its .mat file has unexpected content.
        ImageError: when an image is read: it is missing or damaged.
    """
    if unsolved not in ("stop", "skip"):
        raise ValueError(f"unsolved {unsolved!r} is unknown; expected stop or skip")
    labels, bad = _read_labels(root, [name.strip() for name in subsets.split(",") if name.strip()])
    notes: list[str] = []
    left_out: list[tuple[str, str]] = []
    if depth is not None:
        z_of = _given_depth(depth, depth_z, list(labels))
        how = f"z from {depth.name}"
    else:
        z_of, refused = _recovered_depth(labels)
        how = "z from the views of the face"
        lacking = {_face_of(name) for name in bad}
        for face in lacking & refused.keys():
            reason = f"no depth: {refused.pop(face)}, and a landmark file of this face cannot be read"
            bad |= {name: f"{name}: {reason}" for name in labels if _face_of(name) == face}
        if refused:
            listed = "; ".join(f"{face}: {reason}" for face, reason in list(refused.items())[:_LISTED])
            more = f"; and {len(refused) - _LISTED} more" if len(refused) > _LISTED else ""
            if unsolved == "stop":
                raise ValueError(
                    f"{root}: the depth of {len(refused)} faces cannot be recovered ({listed}{more}); give their 3D "
                    "with option depth=FILE.npz, or leave them out with unsolved=skip"
                )
            left_out = [(name, f"no depth: {refused[_face_of(name)]}") for name in labels if _face_of(name) in refused]
            notes.append(f"{len(refused)} faces ({len(left_out)} images) left out, no depth: {listed}{more}")
    views: list[_View | _Bad] = []
    for name, xy in labels.items():
        if name not in z_of:
            continue
        points = np.column_stack([xy, z_of[name]]).astype(np.float32)
        subset, stem = name.split("/")
        views.append(_View(root / subset / f"{stem}.jpg", points, _face_of(name), f"pts_3d, 1-based; {how}"))
    if flips:
        views += [_flip_of(view) for view in views if isinstance(view, _View)]
    views += [_Bad(name, reason) for name, reason in sorted(bad.items())]
    return Samples(views, _read, notes, left_out)


def _read_labels(root: Path, subsets: list[str]) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """``SET/NAME_k`` → (68, 2) x, y, 0-based; and by name, the errors of unreadable files."""
    folder = root / "landmarks"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected 300W-LP in its original layout")
    there = sorted(path.name for path in folder.iterdir() if path.is_dir())
    absent = [name for name in subsets if name not in there]
    if absent:
        raise FileNotFoundError(f"{folder}: no subset {', '.join(absent)}; found {', '.join(there) or 'none'}")
    labels: dict[str, NDArray[np.float64]] = {}
    bad: dict[str, str] = {}
    for subset in subsets or there:
        for path in sorted((folder / subset).glob("*_pts.mat")):
            name = f"{subset}/{path.stem.removesuffix('_pts')}"
            try:
                points = read_mat(path, ("pts_3d",))["pts_3d"]
                if points.shape != (68, 2):
                    raise ValueError(f"{path}: pts_3d has shape {points.shape}; expected (68, 2)")
                points_of(f"{path}: pts_3d", points, base=1, z="away", complete=True)  # all finite
                labels[name] = points.astype(np.float64) - 1
            except ValueError as error:
                bad[name] = str(error)
    if not labels and not bad:
        raise FileNotFoundError(f"{folder}: no SET/NAME_pts.mat; expected 300W-LP in its original layout")
    return labels, bad


def _recovered_depth(
    labels: dict[str, NDArray[np.float64]],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """z (68,) by name, and the reason for each face whose z cannot be recovered."""
    faces = defaultdict(list)
    for name in labels:
        faces[_face_of(name)].append(name)
    z_of: dict[str, NDArray[np.float64]] = {}
    refused: dict[str, str] = {}
    for face, names in faces.items():
        try:
            solved = depth_from_views(np.stack([labels[name] for name in names]), _NOSE_TIP, _JAW_ENDS)
        except NotSolvable as error:
            refused[face] = str(error)
            continue
        z_of.update(zip(names, solved.z_img, strict=True))
    return z_of, refused


def _given_depth(path: Path, sign: DepthSign, names: list[str]) -> dict[str, NDArray[np.float64]]:
    arrays = read_arrays(path, ("id",))
    if "z" in arrays:
        z = arrays["z"]
    elif "points" in arrays and arrays["points"].ndim == 3 and arrays["points"].shape[2] == 3:
        z = arrays["points"][..., 2]
    else:
        raise ValueError(f"{path}: expected z (M, 68) or points (M, 68, 3), found {sorted(arrays)}")
    if z.shape != (len(arrays["id"]), 68):
        raise ValueError(f"{path}: z has shape {z.shape} for {len(arrays['id'])} ids; expected (M, 68)")
    by_id = dict(zip(arrays["id"].tolist(), z.astype(np.float64), strict=True))
    result, missing = {}, []
    for name in names:
        row = by_id.get(name, by_id.get(name.split("/")[1]))
        if row is None or not np.isfinite(row).all():
            missing.append(name)
        else:
            result[name] = (row - row.mean()) * (-1 if sign == "towards" else 1)
    if missing:
        raise ValueError(f"{path}: no finite z for {len(missing)} of {len(names)} images, e.g. {missing[0]}")
    return result


def _face_of(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _photo_of(face: str) -> str:
    """``IBUG_image_100_03`` and ``IBUG_image_100_04`` are two faces of photo ``IBUG_image_100``."""
    return re.sub(r"(_\d+)_\d{1,2}$", r"\1", face)


def _flip_of(view: _View) -> _View:
    folder = view.image.parent
    image = folder.with_name(f"{folder.name}_Flip") / view.image.name
    return _View(image, view.points, view.face, f"{view.provenance}; mirrored", flipped=True)


def _read(view: _View | _Bad) -> Sample:
    if isinstance(view, _Bad):
        raise ValueError(view.reason)
    image = read_image(view.image)
    points = view.points
    if view.flipped:
        points = mirrored(points[list(MARKUP_68.mirror)], image.shape[1])
    parameters = view.image.with_suffix(".mat")
    yaw_deg = math.nan
    if parameters.is_file():
        values = read_mat(parameters, ())
        yaw_deg = fitted_yaw_deg(values, parameters) if "Pose_Para" in values else math.nan
    if math.isnan(yaw_deg):
        yaw_deg = head_pose(points).angles("zyx").yaw_deg
    subset = view.image.parent.name
    return Sample(
        name=f"{subset}/{view.image.stem}",
        image=image,
        points_img=points,
        yaw_deg=yaw_deg,
        group=_photo_of(view.face),
        source=f"300wlp-{subset.lower().replace('_flip', '')}",
        provenance=view.provenance,
        file=view.image,
    )
