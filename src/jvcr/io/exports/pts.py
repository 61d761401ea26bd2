"""iBUG's ``.pts``: x and y of one face, **1-based**: the centre of the first pixel is at 1. There is no depth."""

from __future__ import annotations

from typing import BinaryIO

from jvcr.io.exports.base import PhotoFaces, one_face_each

BASE = 1.0
"""Coordinate of the first pixel's centre in the files of 300-W, and so in ours."""


def write_pts(file: BinaryIO, photo: PhotoFaces) -> None:
    """The face with the best score.

    Raises:
        ValueError: there is no face.
    """
    for _, face in one_face_each([photo]):
        points = face.landmarks[:, :2].astype(float) + BASE
        rows = "".join(f"{x:.3f} {y:.3f}\n" for x, y in points.tolist())
        file.write(f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n".encode())
        return
    raise ValueError(f"{photo.image}: has no face; a .pts file holds exactly one")
