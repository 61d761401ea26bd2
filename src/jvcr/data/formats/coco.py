"""COCO-style 2D keypoints: one JSON of ``images`` and ``annotations`` with x, y and visibility of N landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jvcr.data.reading import Samples, markup_of, only_file, points_of, read_json
from jvcr.data.sample import Sample
from jvcr.frames import Box
from jvcr.images import read_image
from jvcr.markups.markup import Markup


def read_coco(
    root: Path,
    images: Path | None = None,
    base: float = 0.0,
    key: str = "keypoints",
    box_key: str = "bbox",
    markup: Markup | None = None,
    split: str = "",
) -> Samples:
    """All annotations with at least one marked landmark, in file order. z is NaN.

    A landmark with visibility 0 is unmarked: NaN. ``bbox`` is x, y, width, height. The group is the image.

    Args:
        root: the JSON file, or a folder that contains one.
        images: the folder that ``file_name`` is relative to; by default that of the JSON file.
        base: coordinate of the first pixel's centre: 0 if coordinates are pixel indices, 0.5 if they are measured from
            the image's corner.
        key, box_key: names of the arrays in an annotation; in COCO-WholeBody the 68 points of the face are
            ``face_kpts`` and ``face_box``.
        markup: needed unless there are 68 or 66 points.
        split: split of all samples; COCO has one file per split.
    Raises:
        FileNotFoundError: no JSON file.
        ValueError: not a COCO file, or no annotation has landmarks.
        ImageError: when a sample is read: its image is missing or damaged.
    """
    path = only_file(root, "*.json")
    folder = path.parent if images is None else images
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise ValueError(f"{path}: expected an object with images and annotations (COCO keypoints)")
    annotations = content["annotations"]
    try:
        file_of = {image["id"]: str(image["file_name"]) for image in content["images"]}
        faces = [face for face in annotations if face.get(key) and any(v > 0 for v in face[key][2::3])]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: an image or annotation is not as COCO has them: {error!r}") from None
    if not faces:
        raise ValueError(f"{path}: none of {len(annotations)} annotations has a marked landmark in {key!r}")
    lost = next((face for face in faces if face.get("image_id") not in file_of), None)
    if lost is not None:
        raise ValueError(
            f"{path}: annotation {lost.get('id')} has image_id {lost.get('image_id')!r}, which is not among the images"
        )
    left_out = len(annotations) - len(faces)
    notes = [f"{left_out} annotations left out: no marked landmark"] if left_out else []

    def read(face: dict[str, Any]) -> Sample:
        file_name = file_of[face["image_id"]]
        where = f"{path}: annotation {face.get('id')} ({file_name})"
        numbers = np.asarray(face[key], np.float64)
        if numbers.ndim != 1 or len(numbers) % 3:
            raise ValueError(f"{where}: {len(numbers)} numbers in {key!r}; expected x, y, visibility of each landmark")
        rows = numbers.reshape(-1, 3)
        stem = Path(file_name).with_suffix("").as_posix()
        return Sample(
            name=f"{stem}#{face.get('id')}",
            image=read_image(folder / file_name),
            points_img=points_of(where, np.where(rows[:, 2:] > 0, rows[:, :2], np.nan), base, "away"),
            given_box=_box(face.get(box_key), base, where),
            group=stem,
            markup=markup_of(len(rows), markup, where),
            source=path.stem,
            provenance=f"{path.name} annotation {face.get('id')} {key}, base {base:g}, 2D",
            file=folder / file_name,
            split=split,
        )

    return Samples(faces, read, notes)


def _box(values: object, base: float, where: str) -> Box | None:
    if not values:
        return None
    box = np.asarray(values, np.float64)
    if box.shape != (4,):
        raise ValueError(f"{where}: the box is {values}; expected x, y, width, height")
    x, y, width, height = box.tolist()
    if width <= 0 or height <= 0:
        return None
    return Box(x - base, y - base, x + width - base, y + height - base)
