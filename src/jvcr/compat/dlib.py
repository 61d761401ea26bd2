"""dlib's calls for faces. Change ``import dlib`` to ``from jvcr.compat import dlib``.

The results have dlib's conventions: whole pixels, 0-based, 68 points in the same order. The jaw (0 to 16) is the jaw of
the 3D head, not the visible outline, and rectangles are tight around the landmarks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jvcr.compat.shared import as_rgb, default_landmarker
from jvcr.images import Image, read_image
from jvcr.landmarker import Landmarker


@dataclass(frozen=True)
class point:
    """A pixel: ``x``, ``y``."""

    x: int
    y: int


class points(list[point]):
    """A list of ``point``."""


class rectangle:
    """Whole pixels from ``left()``, ``top()`` to ``right()``, ``bottom()``, the last ones included."""

    def __init__(self, left: int = 0, top: int = 0, right: int = -1, bottom: int = -1) -> None:
        self._sides = (int(left), int(top), int(right), int(bottom))

    def left(self) -> int:
        """First column."""
        return self._sides[0]

    def top(self) -> int:
        """First row."""
        return self._sides[1]

    def right(self) -> int:
        """Last column."""
        return self._sides[2]

    def bottom(self) -> int:
        """Last row."""
        return self._sides[3]

    def width(self) -> int:
        """Columns; 0 if it is empty."""
        return 0 if self.is_empty() else self.right() - self.left() + 1

    def height(self) -> int:
        """Rows; 0 if it is empty."""
        return 0 if self.is_empty() else self.bottom() - self.top() + 1

    def area(self) -> int:
        """Pixels in it."""
        return self.width() * self.height()

    def is_empty(self) -> bool:
        """Whether no pixel is in it."""
        return self.right() < self.left() or self.bottom() < self.top()

    def tl_corner(self) -> point:
        """Its first pixel."""
        return point(self.left(), self.top())

    def tr_corner(self) -> point:
        """The last pixel of its first row."""
        return point(self.right(), self.top())

    def bl_corner(self) -> point:
        """The first pixel of its last row."""
        return point(self.left(), self.bottom())

    def br_corner(self) -> point:
        """Its last pixel."""
        return point(self.right(), self.bottom())

    def center(self) -> point:
        """Its middle, rounded up."""
        return point((self.left() + self.right() + 1) // 2, (self.top() + self.bottom() + 1) // 2)

    def contains(self, *where: Any) -> bool:
        """Whether a ``point``, a ``rectangle``, or x and y lie in it."""
        if len(where) == 2:
            where = (point(*where),)
        (other,) = where
        if isinstance(other, rectangle):
            return other.is_empty() or (self.contains(other.tl_corner()) and self.contains(other.br_corner()))
        return bool(self.left() <= other.x <= self.right() and self.top() <= other.y <= self.bottom())

    def intersect(self, other: rectangle) -> rectangle:
        """The pixels that are in both."""
        low = map(max, zip(self._sides[:2], other._sides[:2], strict=True))
        high = map(min, zip(self._sides[2:], other._sides[2:], strict=True))
        return rectangle(*low, *high)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, rectangle) and self._sides == other._sides

    def __hash__(self) -> int:
        return hash(self._sides)

    def __repr__(self) -> str:
        return "rectangle({}, {}, {}, {})".format(*self._sides)

    def __str__(self) -> str:
        return "[({}, {}) ({}, {})]".format(*self._sides)


class rectangles(list[rectangle]):
    """A list of ``rectangle``."""


@dataclass(frozen=True)
class full_object_detection:
    """The landmarks of a face: ``part(i).x``, ``part(i).y``, ``parts()``, ``num_parts``, and its ``rect``."""

    rect: rectangle
    _parts: tuple[point, ...]

    @property
    def num_parts(self) -> int:
        """68."""
        return len(self._parts)

    def part(self, index: int) -> point:
        """Landmark ``index``, from 0.

        Raises:
            IndexError: there is none of that number.
        """
        if not 0 <= index < len(self._parts):
            raise IndexError(f"part {index}: there are {len(self._parts)}, from 0")
        return self._parts[index]

    def parts(self) -> points:
        """All landmarks."""
        return points(self._parts)

    def __iter__(self) -> Iterator[point]:
        return iter(self._parts)


class fhog_object_detector:
    """The object that ``get_frontal_face_detector`` returns. It finds faces at any yaw and roll, not only frontal ones.

    Args:
        landmarker: a ``jvcr.Landmarker``; None takes one with default settings.
    """

    def __init__(self, landmarker: Landmarker | None = None) -> None:
        self._landmarker = landmarker or default_landmarker()

    def __call__(self, image: Any, upsample_num_times: int = 0) -> rectangles:
        """Rectangles around the landmarks of all faces, best first. ``upsample_num_times`` is not used: small faces are
        searched anyway."""
        return self.run(image, upsample_num_times)[0]

    def run(
        self, image: Any, upsample_num_times: int = 0, adjust_threshold: float = 0.0
    ) -> tuple[rectangles, list[float], list[int]]:
        """Rectangles, their scores (probabilities, 0…1) and zeros. Both numbers are accepted and not used."""
        faces = self._landmarker.predict(as_rgb(image))
        found = rectangles(rectangle(*(round(side) for side in face.box.to_list())) for face in faces)
        return found, [face.score for face in faces], [0] * len(found)


def get_frontal_face_detector(landmarker: Landmarker | None = None) -> fhog_object_detector:
    """A face detector: ``detector(image, 1)`` → rectangles."""
    return fhog_object_detector(landmarker)


class shape_predictor:
    """Landmarks in a given rectangle: ``predictor(image, rect).part(i).x``.

    Args:
        filename: of dlib's model; accepted and not opened.
        landmarker: a ``jvcr.Landmarker`` with the 68 points; None takes one with default settings.
    """

    def __init__(self, filename: object = None, landmarker: Landmarker | None = None) -> None:
        self._landmarker = landmarker or default_landmarker()
        if self._landmarker.markup.n_points != 68:
            raise ValueError(f"the landmarker predicts {self._landmarker.markup.n_points} points; expected 68")

    def __call__(self, image: Any, box: Any) -> full_object_detection:
        """The landmarks of the face in a rectangle: ours, or any object with ``left()``, ``top()``, ``right()`` and
        ``bottom()``. It need not be exact.

        Raises:
            ValueError: the rectangle is empty or outside the image.
        """
        sides = [float(side()) for side in (box.left, box.top, box.right, box.bottom)]
        (face,) = self._landmarker.predict(as_rgb(image), [sides])
        parts = tuple(point(round(x), round(y)) for x, y in face.landmarks[:, :2].tolist())
        return full_object_detection(rectangle(*(int(side) for side in sides)), parts)


def load_rgb_image(filename: str | Path) -> Image:
    """A photo as (H, W, 3) uint8 RGB. Unlike dlib's, it is turned upright by its EXIF orientation."""
    return read_image(Path(filename))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"jvcr.compat.dlib has no {name!r}; it has get_frontal_face_detector, shape_predictor, rectangle, rectangles, "
        "point, points, full_object_detection and load_rgb_image (docs/migrating.md)"
    )
