"""What goes to a worker process and what comes back. Both are pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from jvcr.io.exports import FormatName
from jvcr.serve.options import FaceOptions
from jvcr.serve.refused import Refused

JSON = "application/json"


class Task(StrEnum):
    """What to make."""

    FACES = "faces"
    DRAW = "draw"
    VIEW = "view"
    EXPORT = "export"


class PictureFormat(StrEnum):
    """Format of a drawn photo."""

    JPEG = "jpeg"
    PNG = "png"


@dataclass(frozen=True)
class Work:
    """One request.

    Attributes:
        body: as it came: an encoded image or a form, or for ``EXPORT`` JSON.
        content_type: of the body.
        options: of the query; fields of a form are added to them.
        received: ``time.monotonic()`` when the body was complete; processes of one machine share that clock.
        picture, export: formats of ``DRAW`` and ``EXPORT``.
    """

    task: Task
    body: bytes
    content_type: str
    options: FaceOptions
    received: float
    picture: PictureFormat = PictureFormat.JPEG
    export: FormatName = FormatName.OBJ


@dataclass(frozen=True)
class Answer:
    """status, body and media type of the response; faces: how many it holds; filename: to save it as."""

    status: int
    body: bytes
    media_type: str = JSON
    faces: int = 0
    filename: str = ""

    @classmethod
    def refusal(cls, error: Refused) -> Answer:
        """The answer to a request that is refused."""
        return cls(error.status, json.dumps({"error": error.message}).encode())
