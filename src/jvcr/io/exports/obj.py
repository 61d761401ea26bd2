"""Wavefront OBJ: points, contours and mask of each face of one photo. x right, y up, z towards the viewer, pixels."""

from __future__ import annotations

import json
from typing import BinaryIO

from jvcr.io.exports.base import PhotoFaces, face_mesh


def write_obj(file: BinaryIO, photo: PhotoFaces) -> None:
    """One object ``face_1``, ``face_2``, … for each face. Landmark i of the first face is vertex i + 1."""
    lines = [
        f"# Landmarks of {json.dumps(photo.image)}, by jvcr.",
        "# x right, y up, z towards the viewer; pixels; the origin is the centre of the photo's first pixel.",
    ]
    first = 1
    for number, face in enumerate(photo.faces, 1):
        mesh = face_mesh(face)
        lines.append(f"o face_{number}")
        lines += (f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.points.tolist())
        lines.append(f"p {' '.join(str(first + i) for i in range(len(mesh.points)))}")
        lines += (f"l {a} {b}" for a, b in (mesh.lines + first).tolist())
        lines += (f"f {a} {b} {c}" for a, b, c in (mesh.triangles + first).tolist())
        first += len(mesh.points)
    file.write("".join(f"{line}\n" for line in lines).encode())
