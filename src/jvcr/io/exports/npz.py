"""Predictions files (docs/predictions.md): one face a photo, image axes, 0-based pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from jvcr import __version__
from jvcr.io.exports.base import PhotoFaces, common_markup, image_stem, one_face_each
from jvcr.markups.file import built_in


def write_npz(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """The face with the best score of each photo; a photo without a face is a row of NaN.

    Its ``id`` is the file name without folder and ending.

    Raises:
        ValueError: two photos have the same id, or the faces have different markups.
    """
    markup = common_markup(photos)
    ids = [image_stem(photo.printable) for photo in photos]
    seen: dict[str, str] = {}
    for name, photo in zip(ids, photos, strict=True):
        if name in seen:
            raise ValueError(
                f"{photo.image}: has the same id, {name!r}, as {seen[name]}; a predictions file names photos by their "
                "file names without folder and ending: rename one, or export them separately"
            )
        seen[name] = photo.image
    landmarks = np.full((len(photos), markup.n_points, 3), np.nan, np.float32)
    boxes = np.full((len(photos), 4), np.nan)
    row_of = {id(photo): row for row, photo in enumerate(photos)}
    for photo, face in one_face_each(photos):
        landmarks[row_of[id(photo)]] = face.landmarks
        boxes[row_of[id(photo)]] = face.box.to_list()
    known = built_in(markup.name)
    np.savez_compressed(
        file,
        id=np.array(ids, dtype=np.str_),
        landmarks=landmarks,
        box=boxes,
        markup=np.array(markup.name if known == markup else json.dumps(markup.to_dict())),
        about=np.array(json.dumps({"tool": "jvcr", "version": __version__})),
    )
