"""3DFAW: 66 3D points and a face box per image (L. A. Jeni et al., ECCV Workshops 2016).

**This reader has not been tested on the original data**, which its owners provide on request. Only the markup is known
(68 points without the inner mouth corners). Adapt the ``Layout`` to the location and format of the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import DepthSign, Samples, points_of
from jvcr.data.sample import Sample
from jvcr.frames import Box
from jvcr.images import read_image
from jvcr.markups.markup import MARKUP_66

BoxForm = Literal["xyxy", "xywh"]


@dataclass(frozen=True)
class Layout:
    """Location of the files, and meaning of their numbers.

    Attributes:
        images: glob pattern below the root.
        landmarks, box: path of the label files, relative to the image's folder, with ``{stem}`` for the image's name
            without its ending. They contain 66 lines of x y z, and one line of four numbers, separated by commas,
            semicolons or spaces; lines without numbers are skipped. "" for ``box``: there are no boxes.
        columns: 0-based positions of x, y and z in a landmark's line.
        base: coordinate of the first pixel's centre, for landmarks and box.
        z: direction in which z grows.
        box_form: ``xyxy``: two corners; ``xywh``: a corner, width and height.
        group: regular expression; its first group (or all of it), searched in the image's path below the root, names
            the person. "" makes each image its own group, so the split may separate views of one person.
        split: the same for the split; it recognises train and val (valid, validation).
    """

    images: str = "**/*.jpg"
    landmarks: str = "{stem}.csv"
    box: str = ""
    columns: tuple[int, int, int] = (0, 1, 2)
    base: float = 1.0
    z: DepthSign = "towards"
    box_form: BoxForm = "xyxy"
    group: str = ""
    split: str = r"(?i)(train|val|test)"


def read_3dfaw(
    root: Path,
    images: str = Layout.images,
    landmarks: str = Layout.landmarks,
    box: str = Layout.box,
    columns: str = "0,1,2",
    base: float = Layout.base,
    z: DepthSign = Layout.z,
    box_form: BoxForm = Layout.box_form,
    group: str = Layout.group,
    split: str = Layout.split,
) -> Samples:
    """All images that match the layout, sorted by path. Not tested on the original data. For options, see ``Layout``.

    Raises:
        FileNotFoundError: no image.
        ValueError: an invalid option, or an image without 66 3D points.
        ImageError: a damaged image.
    """
    try:
        numbers = tuple(int(number) for number in columns.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or min(numbers) < 0:
        raise ValueError(f"columns {columns!r}: expected three numbers from 0 on, e.g. 0,1,2")
    order = (numbers[0], numbers[1], numbers[2])
    return read_3dfaw_layout(root, Layout(images, landmarks, box, order, base, z, box_form, group, split))


def read_3dfaw_layout(root: Path, layout: Layout) -> Samples:
    """``read_3dfaw`` with a ``Layout``."""
    try:
        paths = sorted(root.glob(layout.images))
        _ = layout.landmarks.format(stem=""), layout.box.format(stem="")
    except (ValueError, NotImplementedError, KeyError, IndexError) as error:
        raise ValueError(
            f"the layout's patterns {layout.images!r}, {layout.landmarks!r} and {layout.box!r} cannot be used: "
            f"{error!r}; expected a glob pattern below the root, and paths with {{stem}}"
        ) from None
    if not paths:
        raise FileNotFoundError(f"{root}: no {layout.images}; set the layout's pattern: option images=PATTERN")
    for pattern in (layout.group, layout.split):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression ({error})") from None

    def read(path: Path) -> Sample:
        label = path.parent / layout.landmarks.format(stem=path.stem)
        rows = _numbers(label)
        width = max(layout.columns) + 1
        if len(rows) != 66 or any(len(row) < width for row in rows):
            raise ValueError(
                f"{label}: {len(rows)} lines of numbers, the shortest of {min(map(len, rows), default=0)}; "
                f"expected 66 of at least {width}"
            )
        raw = np.array([[row[column] for column in layout.columns] for row in rows])
        name = path.relative_to(root).with_suffix("").as_posix()
        return Sample(
            name=name,
            image=read_image(path),
            points_img=points_of(label, raw, layout.base, layout.z, complete=True),
            given_box=_box(path, layout) if layout.box else None,
            group=_search(layout.group, name) or name,
            markup=MARKUP_66,
            source="3dfaw",
            provenance=f"{label.name}, base {layout.base:g}, z {layout.z} the camera",
            file=path,
            split=_split(_search(layout.split, name)),
        )

    return Samples(paths, read)


def _numbers(path: Path) -> list[list[float]]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; set where the labels are: options landmarks and box, with {{stem}}")
    rows = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        try:
            rows.append([float(value) for value in re.split(r"[,;\s]+", line.strip(" ,;\t")) if value])
        except ValueError:
            continue
    return [row for row in rows if row]


def _box(image: Path, layout: Layout) -> Box:
    path = image.parent / layout.box.format(stem=image.stem)
    rows = _numbers(path)
    if len(rows) != 1 or len(rows[0]) != 4:
        raise ValueError(f"{path}: expected one line of four numbers, found {rows[:2]}")
    corners: NDArray[np.float64] = np.array(rows[0])
    if layout.box_form == "xywh":
        corners[2:] += corners[:2]
    x0, y0, x1, y1 = (corners - layout.base).tolist()
    return Box(x0, y0, x1, y1)


def _search(pattern: str, name: str) -> str:
    match = re.search(pattern, name) if pattern else None
    return "" if match is None else match[1] if match.re.groups else match[0]


def _split(word: str) -> str:
    return "val" if word.lower().startswith("val") else word.lower()
