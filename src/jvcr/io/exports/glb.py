"""Binary glTF 2.0: the faces of one photo, and a camera that sees them as the photo does.

glTF's axes: x right, y up, z towards the viewer, right-handed. Its unit is the metre; one pixel becomes a millimetre.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from jvcr import __version__
from jvcr.frames import Box
from jvcr.io.exports.base import ExportedFace, PhotoFaces, face_mesh

METRES_PER_PX = 0.001
"""Depth is relative, so any scale would do. At this one, a face is about as large as a real one."""

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_POINTS, _LINES, _TRIANGLES = 0, 1, 4
_MASK, _CONTOUR, _POINT = 0, 1, 2

_MATERIALS = [
    {
        "name": name,
        "doubleSided": True,
        "pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0, "roughnessFactor": 1},
    }
    for name, colour in (
        ("mask", [0.8, 0.7, 0.62, 1]),
        ("contours", [0.05, 0.05, 0.05, 1]),
        ("landmarks", [1, 0.84, 0.04, 1]),
    )
]


def write_glb(file: BinaryIO, photo: PhotoFaces) -> None:
    """A node ``photo`` with a child ``face_1``, ``face_2``, … for each face, and a ``camera``.

    The node ``photo`` scales to metres and moves the photo's middle to the origin. Below it, vertices are in pixels:
    x right, y up, z towards the viewer, from the centre of the photo's first pixel.
    """
    view = _view(photo)
    (x, y), depth = view.centre, max((float(np.abs(face.landmarks[:, 2]).max()) for face in photo.faces), default=0.0)
    scale = METRES_PER_PX
    far = scale * (depth + max(view.width, view.height))
    buffer = _Buffer()
    meshes = [_mesh(buffer, number, face) for number, face in enumerate(photo.faces, 1)]
    root: dict[str, Any] = {
        "name": "photo",
        "translation": [-scale * x, scale * y, 0],
        "scale": [scale] * 3,
        "extras": {"image": photo.image, "size": photo.size, "unit": "pixel"},
    }
    if meshes:
        root["children"] = [2 + place for place in range(len(meshes))]
    lens = {"xmag": scale * view.width / 2, "ymag": scale * view.height / 2, "znear": scale, "zfar": 2 * far}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"jvcr {__version__}"},
        "scene": 0,
        "scenes": [{"name": "photo", "nodes": [0, 1]}],
        "cameras": [{"name": "camera", "type": "orthographic", "orthographic": lens}],
        "nodes": [
            root,
            {"name": "camera", "camera": 0, "translation": [0, 0, far]},
            *({"name": mesh["name"], "mesh": place} for place, mesh in enumerate(meshes)),
        ],
    }
    if meshes:
        document |= {"meshes": meshes, "materials": _MATERIALS, **buffer.document()}
    chunks = [(b"JSON", json.dumps(document, separators=(",", ":")).encode(), b" ")]
    if meshes:
        chunks.append((b"BIN\0", bytes(buffer.data), b"\0"))
    body = b"".join(_chunk(*chunk) for chunk in chunks)
    file.write(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)


def _view(photo: PhotoFaces) -> Box:
    """What the camera sees: the photo, or the surroundings of the faces where its size is unknown."""
    if photo.size is not None:
        return Box.of_image(*photo.size)
    if not photo.faces:
        return Box.of_image(1, 1)
    around = Box.around(np.concatenate([face.landmarks for face in photo.faces]))
    (x, y), half = around.centre, 0.75 * max(around.width, around.height)
    return Box(x - half, y - half, x + half, y + half)


def _mesh(buffer: _Buffer, number: int, face: ExportedFace) -> dict[str, Any]:
    mesh = face_mesh(face)
    position = buffer.add(mesh.points, _FLOAT, "VEC3")
    parts = [(_POINTS, np.arange(len(mesh.points)), _POINT), (_LINES, mesh.lines, _CONTOUR)]
    parts.append((_TRIANGLES, mesh.triangles, _MASK))
    kind = _UINT16 if len(mesh.points) < 2**16 else _UINT32
    return {
        "name": f"face_{number}",
        "primitives": [
            {
                "attributes": {"POSITION": position},
                "indices": buffer.add(indices.reshape(-1), kind, "SCALAR"),
                "mode": mode,
                "material": material,
            }
            for mode, indices, material in reversed(parts)
            if indices.size
        ],
        "extras": {
            "markup": face.markup.name,
            "landmarks": list(face.markup.labels),
            "score": round(float(face.score), 4),
        },
    }


class _Buffer:
    """The binary part, with a view and an accessor for each array."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(self, values: NDArray[Any], kind: int, shape: str) -> int:
        """Append an array; returns the number of its accessor."""
        values = values.astype({_FLOAT: "<f4", _UINT16: "<u2", _UINT32: "<u4"}[kind])
        accessor: dict[str, Any] = {"bufferView": len(self._views), "componentType": kind, "count": len(values)}
        accessor["type"] = shape
        if shape == "VEC3":
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self._views.append(
            {
                "buffer": 0,
                "byteOffset": len(self.data),
                "byteLength": values.nbytes,
                "target": _VERTICES if shape == "VEC3" else _INDICES,
            }
        )
        self._accessors.append(accessor)
        self.data += values.tobytes() + b"\0" * (-values.nbytes % 4)
        return len(self._accessors) - 1

    def document(self) -> dict[str, Any]:
        """The JSON that describes it."""
        return {
            "buffers": [{"byteLength": len(self.data)}],
            "bufferViews": self._views,
            "accessors": self._accessors,
        }


def _chunk(kind: bytes, data: bytes, filling: bytes) -> bytes:
    data += filling * (-len(data) % 4)
    return struct.pack("<I4s", len(data), kind) + data
