"""Endpoints that take an image."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from jvcr.serve.options import FaceOptions
from jvcr.serve.refused import Refused
from jvcr.serve.replies import FacesReply, errors
from jvcr.serve.site import Site
from jvcr.serve.work import PictureFormat, Task

_FORM = "multipart/form-data"
_RAW = "application/octet-stream"
_IMAGES = ("image/jpeg", "image/png", "image/webp", _RAW)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM_SCHEMA = {
    "schema": {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}},
        "description": "The image's file in the field `image`. Parameters may be fields, too.",
    }
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The encoded image: JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP, JPEG 2000, PPM, or HEIC.",
        "content": dict.fromkeys(_IMAGES, _BINARY) | {_FORM: _FORM_SCHEMA},
    }
}
_ERRORS = errors(
    _400="The body is empty, or the form is damaged.",
    _401="The token is missing or wrong.",
    _408="The body arrived too slowly.",
    _413="The body is too large.",
    _415="Not an image, or another Content-Type.",
    _422="A parameter is wrong, or the image is damaged or has too many pixels.",
    _500="The server failed on this request.",
    _503="Too many requests wait; see Retry-After.",
    _504="It took too long.",
)

_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The picture."}
}
_VIEW = {
    200: {"content": {"text/html": {}}, "description": "The page."},
    **errors(_501="The server lacks the package that makes 3D pages (extra demo)."),
}


def _check_type(request: Request) -> None:
    """Refuse bodies that cannot be images, before they are read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind in (_RAW, _FORM)):
        raise Refused(
            415, f"Content-Type is {kind[:80]!r}; expected image/…, {_RAW}, or {_FORM} with a file field 'image'"
        )


class DrawOptions(FaceOptions):
    """Options of a drawn photo."""

    format: Annotated[PictureFormat, Field(description="Format of the picture.")] = PictureFormat.JPEG


Options = Annotated[FaceOptions, Query()]
Drawing = Annotated[DrawOptions, Query()]


def router(site: Site) -> APIRouter:
    """``/v1/faces`` and what is made of it."""
    routes = APIRouter(prefix="/v1/faces", tags=["faces"], dependencies=[Depends(_check_type)], responses=_ERRORS)

    @routes.post("", openapi_extra=_BODY, responses={200: {"model": FacesReply}}, response_class=Response)
    async def faces(request: Request, options: Options) -> Response:
        """Find the faces of a photo and predict their landmarks in 3D."""
        return await site.respond(request, Task.FACES, options)

    @routes.post("/draw", openapi_extra=_BODY, responses=_PICTURE, response_class=Response)
    async def draw(request: Request, options: Drawing) -> Response:
        """The photo with the landmarks drawn on it. A small photo is enlarged."""
        own = FaceOptions(**options.model_dump(exclude_unset=True, exclude={"format"}))
        return await site.respond(request, Task.DRAW, own, picture=options.format)

    @routes.post("/view", openapi_extra=_BODY, responses=_VIEW, response_class=Response)
    async def view(request: Request, options: Options) -> Response:
        """A page that shows the faces and their volumes in 3D; it contains all that it needs."""
        return await site.respond(request, Task.VIEW, options)

    return routes
