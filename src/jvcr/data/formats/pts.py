"""Folders of ``.pts`` files beside their images: the format of 300-W and of many annotation tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import DepthSign, Samples, markup_of, points_of
from jvcr.data.sample import Sample
from jvcr.images import IMAGE_ENDINGS, read_image
from jvcr.markups.markup import Markup


def read_pts_folder(
    root: Path,
    base: float = 1.0,
    z: DepthSign = "towards",
    markup: Markup | None = None,
    split: str = "",
) -> Samples:
    """All ``*.pts`` files in a folder and its subfolders, sorted, each with the image of the same name beside it.

    Args:
        base: coordinate of the first pixel's centre: 1 in 300-W, 0 in the files of many tools.
        z: direction in which z grows, in 3D files.
        markup: needed unless there are 68 or 66 points.
        split: split of all samples.
    Raises:
        FileNotFoundError: no .pts file at all.
        ValueError: a damaged .pts file, no image of that name, or the number of points differs from the markup.
        ImageError: a damaged image.
    """
    paths = sorted(root.rglob("*.pts"))
    if not paths:
        raise FileNotFoundError(f"{root}: no *.pts file; expected a folder of images with a .pts file each")

    def read(path: Path) -> Sample:
        raw = read_pts(path)
        image = image_beside(path)
        name = path.relative_to(root).with_suffix("").as_posix()
        return Sample(
            name=name,
            image=read_image(image),
            points_img=points_of(path, raw, base, z),
            group=name,
            markup=markup_of(len(raw), markup, path),
            source="pts",
            provenance=f"{path.name}, base {base:g}" + (f", z {z} the camera" if raw.shape[1] == 3 else ", 2D"),
            file=image,
            split=split,
        )

    return Samples(paths, read)


def read_pts(path: Path) -> NDArray[np.float64]:
    """The (N, 2) or (N, 3) numbers of a .pts file, unchanged.

    Raises:
        ValueError: not a .pts file, or the number of points differs from ``n_points``.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("//")]
    try:
        first, last = lines.index("{") + 1, lines.index("}")
        stated = next(int(line.split(":")[1]) for line in lines[:first] if line.startswith("n_points"))
        points = np.array([[float(value) for value in line.split()] for line in lines[first:last]])
    except (ValueError, StopIteration, IndexError) as error:
        raise ValueError(
            f"{path}: not a .pts file (expected version, n_points, {{, one `x y` or `x y z` a line, }}): {error}"
        ) from None
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) != stated:
        raise ValueError(f"{path}: n_points says {stated}; found numbers of shape {points.shape}")
    return points


def image_beside(path: Path) -> Path:
    """The image with the same name as a label file.

    Raises:
        ValueError: there is none, or there are several.
    """
    found = sorted(p for p in path.parent.glob(f"{_escaped(path.stem)}.*") if p.suffix.lower() in IMAGE_ENDINGS)
    found = [p for p in found if p.stem == path.stem]
    if len(found) != 1:
        which = ", ".join(p.name for p in found) or "none"
        raise ValueError(f"{path}: expected one image of this name beside it, found {which}")
    return found[0]


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
