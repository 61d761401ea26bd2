"""Faces as the body of a response."""

from __future__ import annotations

import json
import time
from typing import Any

import cv2
import numpy as np

from jvcr.draw.landmarks import draw_faces
from jvcr.draw.page import to_page
from jvcr.draw.voxels import OCCUPIED_FROM, occupied
from jvcr.extras import MissingExtra
from jvcr.images import Image
from jvcr.io.exports import FORMATS, PhotoFaces, export_bytes
from jvcr.io.read_results import NO_RECORD, fault, photo_of
from jvcr.io.records import photo_record
from jvcr.markups.markup import Markup
from jvcr.results import Face
from jvcr.serve.limits import MOST_BOXES
from jvcr.serve.media import media_type
from jvcr.serve.options import FaceOptions
from jvcr.serve.refused import Refused
from jvcr.serve.work import Answer, PictureFormat, Task, Work

_ENDINGS = {PictureFormat.JPEG: ".jpg", PictureFormat.PNG: ".png"}


def result(work: Work, options: FaceOptions, image: Image, faces: list[Face], weights: str) -> Answer:
    """What the request asked for.

    Args:
        image: (H, W, 3) uint8 RGB. weights: name of those that were used.
    Raises:
        Refused: 501: a package is not installed on the server.
    """
    if work.task is Task.DRAW:
        return _picture(work.picture, image, faces)
    if work.task is Task.VIEW:
        try:
            page = to_page(image, faces, options.name)
        except MissingExtra as error:
            raise Refused(501, f"this server cannot make 3D pages: {error}") from None
        return Answer(200, page.encode("utf-8", "replace"), "text/html; charset=utf-8", len(faces))
    record = photo_record(options.name, image, faces)
    if options.volume:
        for face, values in zip(faces, record["faces"], strict=True):
            values["volume"] = _voxels(face, options.voxels)
    record |= {"weights": weights, "ms": round(1000 * (time.monotonic() - work.received), 1)}
    return Answer(200, json.dumps(record).encode(), faces=len(faces))


def _picture(form: PictureFormat, image: Image, faces: list[Face]) -> Answer:
    drawn = draw_faces(image, faces)
    _, data = cv2.imencode(_ENDINGS[form], drawn[:, :, ::-1])
    return Answer(200, data.tobytes(), f"image/{form.value}", len(faces))


def _voxels(face: Face, most: int) -> dict[str, Any]:
    if face.volume is None or face.crop is None:
        raise ValueError("the face has no volume")
    points, values = occupied(face.volume, face.crop, most)
    rows = np.column_stack([points, values]).astype(np.float64).round(3).tolist()
    return {"shape": list(face.volume.shape), "threshold": OCCUPIED_FROM, "points": rows}


def exported(work: Work, markups: dict[str, Markup]) -> Answer:
    """A result of ``/v1/faces`` as a file of another tool.

    Raises:
        Refused: 400 or 422: no such result, or the format cannot hold it; 501: a package is not installed.
    """
    form = FORMATS[work.export]
    photo = _photo(work.body, markups)
    if form.best_only and not photo.faces:
        raise Refused(422, f"faces: there is none; a {form.ending} file needs one")
    try:
        data = export_bytes(photo, work.export)
    except MissingExtra as error:
        raise Refused(501, f"this server cannot write {form.ending} files: {error}") from None
    except (ValueError, OverflowError) as error:
        raise Refused(422, str(error)) from None
    return Answer(200, data, media_type(work.export), len(photo.faces), f"{_file_name(photo.image)}{form.ending}")


def _photo(body: bytes, markups: dict[str, Markup]) -> PhotoFaces:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON; expected a result of /v1/faces") from None
    try:
        record = {"image": "photo", **record}
        if len(record["faces"]) > MOST_BOXES:
            raise Refused(422, f"faces: {len(record['faces'])}; the limit is {MOST_BOXES}")
        own = next((markups[name] for name in markups if _is_of(record, markups[name])), None)
        return photo_of(record, own)
    except NO_RECORD as error:
        raise Refused(422, f"no result of /v1/faces: {fault(error)}") from None


def _is_of(record: dict[str, Any], markup: Markup) -> bool:
    return any(face.get("markup") == markup.name for face in record["faces"])


def _file_name(name: str) -> str:
    """A file name from a photo's name: letters, digits and a few signs of ASCII."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or name
    return (
        "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "_" for sign in stem)[:60] or "photo"
    )
