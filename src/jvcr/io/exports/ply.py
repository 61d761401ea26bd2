"""PLY (ASCII): points, contours and mask of the faces of one photo. x right, y up, z towards the viewer, pixels."""

from __future__ import annotations

import json
from typing import BinaryIO

from jvcr.io.exports.base import PhotoFaces, common_markup, face_mesh


def write_ply(file: BinaryIO, photo: PhotoFaces) -> None:
    """All faces in one mesh. Vertices carry the number of their ``person``, from 1, and of their ``landmark``.

    Raises:
        ValueError: the faces have different markups.
    """
    names = common_markup([photo]).labels
    vertices: list[str] = []
    triangles: list[str] = []
    edges: list[str] = []
    for number, face in enumerate(photo.faces, 1):
        mesh, first = face_mesh(face), len(vertices)
        triangles += (f"3 {a} {b} {c}" for a, b, c in (mesh.triangles + first).tolist())
        edges += (f"{a} {b}" for a, b in (mesh.lines + first).tolist())
        vertices += (f"{x:.4f} {y:.4f} {z:.4f} {number} {i}" for i, (x, y, z) in enumerate(mesh.points.tolist()))
    head = [
        "ply",
        "format ascii 1.0",
        f"comment Landmarks of {json.dumps(photo.image)}, by jvcr.",
        "comment x right, y up, z towards the viewer; pixels; the origin is the centre of the photo's first pixel.",
        *(f"comment landmark {number} {name}" for number, name in enumerate(names)),
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        "property int person",
        "property int landmark",
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        f"element edge {len(edges)}",
        "property int vertex1",
        "property int vertex2",
        "end_header",
    ]
    file.write("".join(f"{line}\n" for line in (*head, *vertices, *triangles, *edges)).encode())
