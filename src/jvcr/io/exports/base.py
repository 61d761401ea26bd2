"""What all exports share: the faces of one image, checks, and the axes of 3D tools."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, y_up
from jvcr.geometry import HeadPose
from jvcr.io.exports.mask import mask_triangles
from jvcr.markups.markup import MARKUP_68, Markup


class ExportedFace(Protocol):
    """The fields of a ``jvcr.results.Face`` that are exported."""

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(N, 3) image pixels."""
        ...

    @property
    def box(self) -> Box:
        """Landmark box, image pixels."""
        ...

    @property
    def score(self) -> float:
        """0…1."""
        ...

    @property
    def markup(self) -> Markup:
        """Names and lines of the landmarks."""
        ...

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N,) landmarks that are probably not visible."""
        ...

    @property
    def has_pose(self) -> bool:
        """Whether ``pose`` is defined."""
        ...

    @property
    def pose(self) -> HeadPose:
        """Head pose."""
        ...


@dataclass(frozen=True, eq=False)
class PhotoFaces:
    """The faces of one photo, or of one frame of a video.

    Attributes:
        image: path or name of the photo; frames are called ``frame_000012``.
        size: width and height in pixels; None if unknown.
        faces: best score first.
        frame: number of the frame; None for a photo.
        time_s: time of the frame.
        identities: for each face of a frame, the number that it keeps.
    """

    image: str
    size: tuple[int, int] | None
    faces: Sequence[ExportedFace]
    frame: int | None = None
    time_s: float | None = None
    identities: Sequence[int] = ()

    @property
    def printable(self) -> str:
        """``image`` as UTF-8 text: bytes of a file name that are no UTF-8 become U+FFFD."""
        return self.image.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def common_markup(photos: Iterable[PhotoFaces]) -> Markup:
    """The markup of all faces; the 68 points if there are no faces.

    Raises:
        ValueError: the faces have different markups.
    """
    found: Markup | None = None
    for photo in photos:
        for face in photo.faces:
            if found is not None and not face.markup.same_points(found):
                raise ValueError(
                    f"{photo.image}: a face has markup {face.markup.name!r}, an earlier one {found.name!r}; "
                    "this format needs one markup for all faces: export them to separate files"
                )
            found = found or face.markup
    return found or MARKUP_68


def one_face_each(photos: Iterable[PhotoFaces]) -> list[tuple[PhotoFaces, ExportedFace]]:
    """The face with the best score of each photo that has one."""
    return [(photo, max(photo.faces, key=lambda face: face.score)) for photo in photos if photo.faces]


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """A face for 3D tools.

    Attributes:
        points: (N, 3) float32: x right, y up, z towards the viewer, in pixels; the origin is the centre of the photo's
            first pixel, so y is negative on the photo.
        lines: (K, 2) indices, the contours of the markup.
        triangles: (M, 3) indices, counter-clockwise from the front; (0, 3) if the markup does not hold the 68 points.
    """

    points: NDArray[np.float32]
    lines: NDArray[np.int64]
    triangles: NDArray[np.int64]


def face_mesh(face: ExportedFace) -> FaceMesh:
    """Points, contours and mask of a face, in the axes of 3D tools."""
    return FaceMesh(
        np.asarray(y_up(face.landmarks), np.float32),
        np.array(face.markup.edges, np.int64).reshape(-1, 2),
        np.array(mask_triangles(face.markup), np.int64).reshape(-1, 3),
    )


def image_stem(name: str) -> str:
    """A photo's file name without folder and ending."""
    return Path(name).stem
