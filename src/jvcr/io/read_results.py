"""Read the JSON lines of ``jvcr predict`` and ``jvcr video`` back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jvcr.files import MALFORMED, open_regular
from jvcr.images import Image
from jvcr.io.exports import PhotoFaces
from jvcr.markups.file import built_in
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.results import Face

NO_RECORD = (*MALFORMED, KeyError, TypeError, AttributeError, OverflowError)
"""What reading raises for anything but a record."""

_EXPECTED = "expected JSON lines of `jvcr predict --json` or `jvcr video --json`"


def photo_faces(name: str, image: Image, faces: list[Face]) -> PhotoFaces:
    """A prediction, as an export takes it."""
    return PhotoFaces(name, (image.shape[1], image.shape[0]), faces)


def read_results(path: Path, markup: Markup | None = None) -> list[PhotoFaces]:
    """All photos or frames of a file, in order. Of several lines about a photo, the last one counts.

    Args:
        markup: of faces whose markup is not built in; the lines hold only its name.
    Raises:
        ValueError: a line is no such record, a markup is unknown, or nothing is in the file. The message names file and
            line. OSError: it cannot be read.
    """
    found: dict[str, PhotoFaces] = {}
    with open_regular(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                photo = photo_of(json.loads(line), markup)
            except NO_RECORD as error:
                raise ValueError(f"{path}: line {number}: {fault(error)}; {_EXPECTED}") from None
            found.pop(photo.image, None)
            found[photo.image] = photo
    if not found:
        raise ValueError(f"{path}: is empty; {_EXPECTED}")
    return list(found.values())


def fault(error: Exception) -> str:
    """One of ``NO_RECORD`` as a text."""
    return f"{type(error).__name__} {error}" if not isinstance(error, ValueError) else str(error)


def photo_of(record: Any, markup: Markup | None = None) -> PhotoFaces:
    """The photo or frame of one record.

    Args:
        record: a line's JSON, parsed. markup: as in ``read_results``.
    Raises:
        one of ``NO_RECORD``: it is none.
    """
    if not isinstance(record, dict) or "faces" not in record or not ("image" in record or "frame" in record):
        raise ValueError("no record of a photo or frame")
    frame = int(record["frame"]) if "frame" in record else None
    name = record["image"] if frame is None else f"frame_{frame:06d}"
    if not isinstance(name, str):
        raise ValueError(f"image is {name!r}; expected a text")
    size = (int(record["width"]), int(record["height"])) if "width" in record else None
    if size is not None and min(size) < 1:
        raise ValueError(f"the size is {size}; expected at least one pixel")
    return PhotoFaces(
        name,
        size,
        [Face.from_dict(values, _markup(values, markup)) for values in record["faces"]],
        frame,
        float(record["time"]) if "time" in record else None,
        [int(values["id"]) for values in record["faces"]] if frame is not None else (),
    )


def _markup(values: dict[str, Any], own: Markup | None) -> Markup:
    name = values.get("markup", MARKUP_68.name)
    if own is not None and name == own.name:
        return own
    found = built_in(str(name))
    if found is None:
        raise ValueError(f"markup {name!r} is not built in; give its file with --markup FILE")
    return found
