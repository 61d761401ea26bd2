"""Parameters of a request, in the query or in the fields of a form."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jvcr.detect.network import DETECT_SIZE
from jvcr.files import MALFORMED
from jvcr.landmarker import MIN_SCORE
from jvcr.serve.limits import DETECT_SIZES, LONGEST_NAME, MOST_BOXES, MOST_VOXELS
from jvcr.serve.refused import Refused

_BOXES = "expected JSON [[x0, y0, x1, y1], …], pixels of the image"


class FaceOptions(BaseModel):
    """What to predict, and how; the options of ``jvcr predict``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: Annotated[
        str | None,
        Field(
            description=f"Landmark boxes as JSON, at most {MOST_BOXES}: one face for each, in their order. Without, "
            "the faces are found. [] gives no faces.",
            examples=["[[179, 87, 269, 178]]"],
        ),
    ] = None
    weights: Annotated[
        str | None, Field(description="Weights by name, from /v1/info. Default: the first ones.", examples=["small"])
    ] = None
    refine: Annotated[
        bool, Field(description="Refinement: where the first crop was off, a second pass on an upright, centred one.")
    ] = True
    mirror: Annotated[
        bool, Field(description="Flip averaging where it pays: less error for up to twice the network's time.")
    ] = True
    min_score: Annotated[float, Field(ge=0, le=1, description="Drop found faces with a lower score.")] = MIN_SCORE
    detect_size: Annotated[
        int,
        Field(
            ge=DETECT_SIZES[0],
            le=DETECT_SIZES[1],
            description="Longer side of the photo for face detection, pixels. Larger finds smaller faces.",
        ),
    ] = DETECT_SIZE
    name: Annotated[
        str,
        Field(max_length=LONGEST_NAME, description="Name of the photo in the result. Only a label; no file is read."),
    ] = "photo"
    volume: Annotated[bool, Field(description="Add the strongest voxels of each face's volume.")] = False
    voxels: Annotated[
        int, Field(ge=1, le=MOST_VOXELS, description="With volume: at most this many voxels of each face.")
    ] = 2000

    @field_validator("boxes")
    @classmethod
    def _are_boxes(cls, text: str | None) -> str | None:
        _parsed(text)
        return text

    @property
    def box_rows(self) -> list[list[float]] | None:
        """(K, 4); None to find the faces."""
        return _parsed(self.boxes)


def read_options(values: dict[str, Any]) -> FaceOptions:
    """The options of these texts.

    Raises:
        Refused: 422, naming the parameter.
    """
    try:
        return FaceOptions.model_validate(values)
    except ValidationError as error:
        raise Refused(422, described(list(error.errors()))) from None


def described(errors: list[Any]) -> str:
    """Pydantic's errors as one text, without the values that came."""
    parts = []
    for error in errors:
        where = [str(part) for part in error["loc"] if part not in ("query", "body")]
        parts.append(f"{'.'.join(where) or 'request'}: {error['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


def _parsed(text: str | None) -> list[list[float]] | None:
    if text is None:
        return None
    try:
        rows = json.loads(text)
    except MALFORMED:
        raise ValueError(f"not JSON; {_BOXES}") from None
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise ValueError(f"no list of boxes; {_BOXES}")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for row in rows for value in row):
        raise ValueError(f"a value is not a number; {_BOXES}")
    if len(rows) > MOST_BOXES:
        raise ValueError(f"{len(rows)} boxes; the limit is {MOST_BOXES}: send several requests")
    return rows
