"""Media types of exported files."""

from __future__ import annotations

from jvcr.io.exports import FormatName

_TYPES = {
    FormatName.CSV: "text/csv",
    FormatName.CSV_POINTS: "text/csv",
    FormatName.COCO: "application/json",
    FormatName.DLIB: "application/xml",
    FormatName.GLB: "model/gltf-binary",
    FormatName.OBJ: "model/obj",
    FormatName.PTS: "text/plain",
}
_OTHER = "application/octet-stream"

MEDIA_TYPES = tuple(sorted({*_TYPES.values(), _OTHER}))
"""All that occur."""


def media_type(form: FormatName) -> str:
    """The media type of a format's files."""
    return _TYPES.get(form, _OTHER)
