"""The coordinate frames and every conversion between them. Half-pixel arithmetic lives here only.

    image   pixels of the photo. x right, y down, z away from the camera, all in the same pixel unit.
    crop    pixels of the square that the network sees. z in the same (crop) pixel unit, 0 at the crop's mid-depth.
    unit    0…1 across the crop's square (and 0…1 through its cube in depth; 0.5 is z = 0).
    vox     voxels of a D×H×W volume.

An integer coordinate is the *centre* of a pixel or voxel in all of them, so S samples span [-0.5, S - 0.5] and
``unit = (coordinate + 0.5) / S``. Points are ordered x, y, z; array shapes are ordered D, H, W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]
"""(…, 3) numbers, x, y, z. Conversions give floating point numbers, also for integers."""

Numbers = Any
"""A number, an array or a tensor. The result is of the same kind; integers become floats."""


def middle_of(size: Numbers) -> Numbers:
    """The coordinate of the middle of ``size`` samples.

    Example: of 4 pixels, 0 to 3, it is 1.5; of 5 pixels it is the centre of pixel 2.
    """
    return size / 2 - 0.5


def borders(size: Numbers) -> tuple[float, Numbers]:
    """Where ``size`` samples begin and end: half a sample before the first centre and after the last.

    Example: 4 pixels reach from -0.5 to 3.5.
    """
    return -0.5, size - 0.5


def rescaled(coordinates: Numbers, factor: Any) -> Numbers:
    """Coordinates on a grid → on the grid with ``factor`` times as many samples over the same extent.

    Args:
        coordinates: any shape, each along one axis: x or y, or the four sides of boxes.
        factor: a number, or anything that broadcasts against them.
    Example: a cell of a network is 8 pixels wide. The middle of cell 0 is at ``rescaled(0.0, 8) == 3.5``, between
    pixels 3 and 4, and ``rescaled(3.5, 1 / 8) == 0.0`` is the inverse.
    """
    return (coordinates + 0.5) * factor - 0.5


def share_to_px(share: Numbers, size: Any) -> Numbers:
    """Share 0…1 of an extent of ``size`` samples → coordinate. Inverse of ``px_to_share``.

    Example: of 4 pixels, share 0 is the left border, -0.5, and 0.5 the middle, 1.5.
    """
    return share * size - 0.5


def px_to_share(coordinate: Numbers, size: Any) -> Numbers:
    """Coordinate → share 0…1 of an extent of ``size`` samples. Inverse of ``share_to_px``.

    Example: of 4 pixels, the centre of the first one, 0, is at 0.125.
    """
    return (coordinate + 0.5) / size


@dataclass(frozen=True)
class Box:
    """A landmark box: tight around the landmarks, image pixels, integer = pixel centre.

    Raises:
        ValueError: a coordinate is not finite, or the box has no width or no height.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        values = (self.x0, self.y0, self.x1, self.y1)
        if not all(math.isfinite(v) for v in values):
            raise ValueError(f"box {values} contains a value that is not finite; expected x0, y0, x1, y1 in pixels")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"box {values} is empty; expected x0 < x1 and y0 < y1 (corners, not width and height)")

    @classmethod
    def around(cls, points: Points) -> Box:
        """The tight box of (N, ≥2) points."""
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        return cls(float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    @classmethod
    def of_image(cls, width: int, height: int) -> Box:
        """The outline of an image.

        Example: an image of 4 × 3 pixels has the box (-0.5, -0.5, 3.5, 2.5).
        """
        (left, right), (top, bottom) = borders(width), borders(height)
        return cls(left, top, right, bottom)

    @property
    def width(self) -> float:
        """``x1 - x0``, image pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """``y1 - y0``, image pixels."""
        return self.y1 - self.y0

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y), image pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union, 0…1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        intersection = width * height
        return intersection / (self.width * self.height + other.width * other.height - intersection)

    def meets(self, image_width: int, image_height: int) -> bool:
        """Whether any of the box lies on the image."""
        (left, right), (top, bottom) = borders(image_width), borders(image_height)
        return self.x1 > left and self.y1 > top and self.x0 < right and self.y0 < bottom

    def to_list(self) -> list[float]:
        """``[x0, y0, x1, y1]``."""
        return [self.x0, self.y0, self.x1, self.y1]


@dataclass(frozen=True)
class CropRule:
    """Side of a crop, and depth of its volume: ``factor`` times the longer side of the box, or its ``"width"``."""

    factor: float = 1.6
    by: str = "longer"

    def __post_init__(self) -> None:
        if self.by not in ("longer", "width") or self.factor <= 0:
            raise ValueError(f"{self}: expected a positive factor, by 'longer' or by 'width'")

    def side(self, box: Box) -> float:
        """Side of the crop around this box, image pixels."""
        return self.factor * (box.width if self.by == "width" else max(box.width, box.height))


CROP_RULE = CropRule()
"""The project's default: at 1.6 times the longer side, no landmark of AFLW2000-3D lies outside the volume."""


@dataclass(frozen=True)
class Crop:
    """A square on the image, possibly rotated, sampled at ``size_px`` × ``size_px``.

    Attributes:
        centre_x, centre_y: centre of the square, image pixels.
        side_px: side of the square, image pixels. The crop's cube is as deep as it is wide.
        size_px: samples per side.
        rotation_deg: rotation of the content in the crop, clockwise as seen on the screen.
        centre_z: image depth of the cube's mid-depth; 0 unless a prediction moved it.
    """

    centre_x: float
    centre_y: float
    side_px: float
    size_px: int
    rotation_deg: float = 0.0
    centre_z: float = 0.0

    @classmethod
    def from_box(cls, box: Box, size_px: int, rotation_deg: float = 0.0, rule: CropRule = CROP_RULE) -> Crop:
        """A crop centred on the landmark box; its side by the rule."""
        x, y = box.centre
        return cls(x, y, rule.side(box), size_px, rotation_deg)

    @classmethod
    def around(cls, points_img: Points, size_px: int, rotation_deg: float = 0.0, rule: CropRule = CROP_RULE) -> Crop:
        """A crop around (N, ≥2) landmarks; the rule uses their box after rotation by ``rotation_deg``."""
        box = Box.around(points_img)
        frame = cls.from_box(box, size_px, rotation_deg)
        turned = Box.around(frame.to_crop(points_img))
        x, y = turned.centre
        centre = frame.to_image(np.array([[x, y, 0.0]]))[0]
        return cls(
            float(centre[0]), float(centre[1]), rule.side(turned) * frame.side_px / size_px, size_px, rotation_deg
        )

    def reduced(self, left: int, top: int, factor: int) -> Crop:
        """The same square on an image that was cut at (left, top) and then reduced ``factor`` times.

        Pixel ``left`` and the ``factor - 1`` to its right become pixel 0, whose centre is their common centre.
        """
        x = (self.centre_x - left + 0.5) / factor - 0.5
        y = (self.centre_y - top + 0.5) / factor - 0.5
        return replace(self, centre_x=x, centre_y=y, side_px=self.side_px / factor, centre_z=self.centre_z / factor)

    def moved_in_depth(self, shift_px: float) -> Crop:
        """The same square with its mid-depth ``shift_px`` image pixels further from the camera."""
        return replace(self, centre_z=self.centre_z + float(shift_px))

    @property
    def square(self) -> Box:
        """The crop's outline on the image, ignoring its rotation."""
        half = self.side_px / 2
        return Box(self.centre_x - half, self.centre_y - half, self.centre_x + half, self.centre_y + half)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3) affine map, image (x, y) → crop (x, y)."""
        scale = self.size_px / self.side_px
        angle = math.radians(self.rotation_deg)
        c, s = scale * math.cos(angle), scale * math.sin(angle)
        centre = middle_of(self.size_px)
        x, y = self.centre_x, self.centre_y
        return np.array([[c, -s, centre - c * x + s * y], [s, c, centre - s * x - c * y]])

    def to_crop(self, points_img: Points) -> Points:
        """(…, 3) image → crop pixels. Inverse of ``to_image``."""
        matrix = self.matrix
        out = np.empty_like(points_img, dtype=np.result_type(points_img, np.float32))
        out[..., :2] = points_img[..., :2] @ matrix[:, :2].T + matrix[:, 2]
        out[..., 2] = (points_img[..., 2] - self.centre_z) * (self.size_px / self.side_px)
        return out

    def to_image(self, points_crop: Points) -> Points:
        """(…, 3) crop → image pixels. Inverse of ``to_crop``."""
        matrix = self.matrix
        # A rotation times a scale: its inverse is its transpose over the squared scale.
        inverse = matrix[:, :2] * (self.side_px / self.size_px) ** 2
        out = np.empty_like(points_crop, dtype=np.result_type(points_crop, np.float32))
        out[..., :2] = (points_crop[..., :2] - matrix[:, 2]) @ inverse
        out[..., 2] = points_crop[..., 2] * (self.side_px / self.size_px) + self.centre_z
        return out


def crop_to_unit(points_crop: Points, size_px: int) -> Points:
    """(…, 3) crop pixels → unit. Inverse of ``unit_to_crop``.

    Example: with ``size_px = 4`` the first pixel's centre, x = 0, is at unit 0.125; z = 0 is at 0.5.
    """
    points_crop = _floating(points_crop)
    shift = np.array([0.5, 0.5, 0.5 * size_px], dtype=points_crop.dtype)
    return (points_crop + shift) / size_px


def unit_to_crop(points_unit: Points, size_px: int) -> Points:
    """(…, 3) unit → crop pixels. Inverse of ``crop_to_unit``."""
    points_unit = _floating(points_unit)
    shift = np.array([0.5, 0.5, 0.5 * size_px], dtype=points_unit.dtype)
    return points_unit * size_px - shift


def unit_to_vox(points_unit: Numbers, shape: Sequence[int]) -> Numbers:
    """(…, 3) unit → voxels of a volume of ``shape`` (D, H, W). Inverse of ``vox_to_unit``.

    Takes arrays, and tensors on any device.

    Example: in a volume of shape (3, 7, 11) the point (0.5, 0.25, 0.1) is at voxel x, y, z = (5, 1.25, -0.2).
    """
    points_unit = _floating(points_unit)
    return share_to_px(points_unit, _xyz_extent(shape, points_unit))


def vox_to_unit(points_vox: Numbers, shape: Sequence[int]) -> Numbers:
    """(…, 3) voxels of a volume of ``shape`` (D, H, W) → unit. Inverse of ``unit_to_vox``.

    Takes arrays, and tensors on any device.

    Example: in a volume of shape (3, 7, 11), voxel x, y, z = (4, 2, 1) is at (4.5 / 11, 2.5 / 7, 1.5 / 3).
    """
    points_vox = _floating(points_vox)
    return px_to_share(points_vox, _xyz_extent(shape, points_vox))


def resized(points: Points, factor: float) -> Points:
    """(…, ≥2) pixels of an image → pixels of the image enlarged ``factor`` times; x and y only are moved.

    Example: twice as large, the centre of pixel 0 lies between pixels 0 and 1, at 0.5.
    """
    out = _floating(points).copy()
    out[..., :2] = rescaled(out[..., :2], factor)
    return out


def mirrored(points: Points, width: int) -> Points:
    """(…, ≥2) pixels of an image → pixels of its mirror image: x becomes width − 1 − x. Its own inverse."""
    out = points.copy()
    out[..., 0] = width - 1 - out[..., 0]
    return out


def diagonals(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(…, N, 2 or 3) landmarks → (…,) diagonal of their 2D bounding box."""
    extent = points[..., :2].max(axis=-2) - points[..., :2].min(axis=-2)
    return np.maximum(np.hypot(extent[..., 0], extent[..., 1]), 1e-6)


def y_up(points: Points) -> Points:
    """(…, 3) x right, y down, z away → x right, y up, z towards the viewer, the axes of 3D tools. Its own inverse.

    Half a turn about the x axis, not a reflection.

    Example: (1, 2, 3) becomes (1, -2, -3).
    """
    return points * np.array([1, -1, -1], dtype=points.dtype)


def _floating(points: Any) -> Any:
    """Integer arrays, for example voxel indices, as float64, to keep half pixels. Tensors are returned unchanged."""
    if not isinstance(points, np.ndarray) or np.issubdtype(points.dtype, np.floating):
        return points
    return points.astype(np.float64)


def _xyz_extent(shape: Sequence[int], like: Any) -> Any:
    """Width, height and depth of a volume of ``shape`` (D, H, W), as an array or tensor of the same kind."""
    depth, height, width = shape
    if isinstance(like, np.ndarray):
        return np.array([width, height, depth], dtype=like.dtype)
    return like.new_tensor([width, height, depth])
