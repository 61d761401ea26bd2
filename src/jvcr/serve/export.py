"""The endpoint that turns results into files of other tools."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from jvcr.io.exports import FormatName
from jvcr.serve.media import MEDIA_TYPES
from jvcr.serve.options import FaceOptions
from jvcr.serve.refused import Refused
from jvcr.serve.replies import EXAMPLE, errors
from jvcr.serve.site import Site
from jvcr.serve.work import JSON, Task

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A result of /v1/faces. Other fields than image, width, height and faces are ignored.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/FacesReply"}, "example": EXAMPLE}},
    }
}
_FILE: dict[str, Any] = {"content": {kind: {} for kind in MEDIA_TYPES}, "description": "The file, with its name."}
_ERRORS = errors(
    _400="The body is not JSON.",
    _401="The token is missing or wrong.",
    _408="The body arrived too slowly.",
    _413="The body is too large.",
    _415="Another Content-Type than application/json.",
    _422="No such format, no result of /v1/faces, or the format cannot hold it.",
    _500="The server failed on this request.",
    _501="The server lacks the package that writes the format.",
    _503="Too many requests wait; see Retry-After.",
    _504="It took too long.",
)


def router(site: Site) -> APIRouter:
    """``/v1/export``."""
    routes = APIRouter(prefix="/v1", tags=["export"], responses=_ERRORS)

    @routes.post("/export", openapi_extra=_BODY, responses={200: _FILE}, response_class=Response)
    async def export(
        request: Request,
        form: Annotated[FormatName, Query(alias="format", description="Format of the file (docs/exports.md).")],
    ) -> Response:
        """A result as OBJ, PLY, GLB, CSV, Parquet, COCO keypoints, .pts, dlib's XML or NPZ."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise Refused(415, f"Content-Type is {kind[:80]!r}; expected {JSON}, a result of /v1/faces")
        return await site.respond(request, Task.EXPORT, FaceOptions(), export=form)

    return routes
