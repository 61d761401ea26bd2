"""The bodies of responses, for the OpenAPI description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

EXAMPLE: dict[str, Any] = json.loads((Path(__file__).parent / "example.json").read_text(encoding="utf-8"))
"""The result for the photograph of `jvcr demo`."""

_Point = Annotated[list[float], Field(min_length=3, max_length=3)]


class PoseReply(BaseModel):
    """Head pose: a rotation matrix, and its angles in degrees."""

    rotation: Annotated[list[_Point], Field(min_length=3, max_length=3)]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


class VolumeReply(BaseModel):
    """The strongest voxels of a face's volume."""

    shape: Annotated[list[int], Field(description="Depth, height and width of the whole volume.")]
    threshold: Annotated[float, Field(description="Voxels of lower density are left out.")]
    points: Annotated[
        list[Annotated[list[float], Field(min_length=4, max_length=4)]],
        Field(description="x, y, z in image pixels, and the density; strongest first."),
    ]


class FaceReply(BaseModel):
    """A face; all coordinates are pixels of the upright photo, and an integer is the centre of a pixel."""

    box: Annotated[list[float], Field(min_length=4, max_length=4, description="x0, y0, x1, y1.")]
    score: Annotated[float, Field(ge=0, le=1, description="Probability that it is a face.")]
    landmarks: Annotated[
        list[_Point], Field(description="x right, y down, z away from the camera; the mean of z is 0.")
    ]
    pose: PoseReply | None = None
    markup: Annotated[str | None, Field(description="Name of the markup, unless it is the 68 points.")] = None
    expression: Annotated[dict[str, float] | None, Field(description="Eyes, mouth, smile and brows.")] = None
    volume: VolumeReply | None = None


class FacesReply(BaseModel):
    """A record of `jvcr predict`, with the weights and the time that it took."""

    image: Annotated[str, Field(description="The parameter `name`.")]
    width: int
    height: int
    faces: Annotated[list[FaceReply], Field(description="Best score first, or in the order of the boxes.")]
    weights: str
    ms: Annotated[float, Field(description="From the whole body to the result, milliseconds.")]

    model_config = {"json_schema_extra": {"examples": [EXAMPLE]}}


class ErrorReply(BaseModel):
    """Why there is no result."""

    error: Annotated[str, Field(description="States the fault or the limit, and what to do.")]


def errors(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Responses for OpenAPI: ``errors(_413="…")``."""
    return {int(name[1:]): {"model": ErrorReply, "description": text} for name, text in descriptions.items()}
