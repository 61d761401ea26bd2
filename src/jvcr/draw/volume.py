"""Still pictures of volumes and 3D shapes: density clouds, and the rows that training writes after each validation.

The projection is orthographic, as for the landmarks. Only NumPy and OpenCV are needed. Results are deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.draw.landmarks import depth_colours, draw_markup
from jvcr.frames import Points, crop_to_unit, resized, unit_to_crop, unit_to_vox, vox_to_unit
from jvcr.geometry import rotation_from_angles
from jvcr.images import Image
from jvcr.markups.markup import Markup

_FLOOR = 0.08
"""Lower densities are not drawn: they are haze that the network predicts between the peaks."""

_CONTRAST = 1.5
"""Exponent applied to the density, to emphasise peaks over their surroundings."""

_ABSORPTION = 0.9
"""Absorption per voxel at density 1. With it, the centre of a Gaussian of σ = 1 voxel transmits 18 % of the light."""

_FEW_SLICES = 8
"""Borders between slices are drawn only for volumes with at most this many slices."""

_EDGES = tuple((a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit)
_CORNERS = np.array([[(i >> axis) & 1 for axis in range(3)] for i in range(8)], np.float64)


@dataclass(frozen=True)
class View:
    """Viewpoint of the cube. (0, 0) is the camera's own view: x to the right, y down, z into the picture.

    Attributes:
        yaw_deg: how far the viewer moves around the head towards the right of the photo. At 90, z points right.
        pitch_deg: how far the viewer then moves up. At 90, the viewer looks along y, and z points up.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3): the rows are the picture's right, down and away-from-viewer directions in the crop's x, y, z."""
        return rotation_from_angles(0, -self.pitch_deg, 0) @ rotation_from_angles(-self.yaw_deg, 0, 0)


FRONT = View()
SIDE = View(yaw_deg=90)
TOP = View(pitch_deg=90)
OBLIQUE = View(yaw_deg=24, pitch_deg=14)


def place(points_unit: Points, view: View, size_px: int) -> NDArray[np.float64]:
    """(…, 3) unit → x, y in pixels of a square picture of ``size_px``, and depth away from the viewer, in pixels.

    The cube 0…1 is centred and as large as fits in the picture.
    Example: ``FRONT`` and 64 px put (0.25, 0.5, z) at x = 15.5, y = 31.5, between four pixel centres.
    """
    rotation = view.rotation
    extent = np.abs(rotation[:2]).sum(axis=1).max()
    turned = (np.asarray(points_unit, np.float64) - 0.5) @ rotation.T / extent + 0.5
    return unit_to_crop(turned, size_px)


def draw_volume(
    volume: NDArray[np.floating],
    view: View = OBLIQUE,
    size_px: int = 256,
    *,
    colours: str = "depth",
    z_range_unit: tuple[float, float] | None = None,
    dark: bool = False,
    frame: bool = True,
    behind: Image | None = None,
) -> Image:
    """Draw a volume as a cloud: each voxel emits light of its colour and absorbs light from behind, by its density.

    The volume is stretched over the unit cube. A single slice becomes a beam through the whole depth; several slices
    blend smoothly into each other. Slices are composited from far to near, as in the shear-warp algorithm (Lacroute
    and Levoy 1994), but without its intermediate image.

    Args:
        volume: (D, H, W), any sizes. Values are clipped to 0…1.
        view: viewpoint.
        size_px: side of the picture.
        colours: ``"depth"``: by z, with the colours of landmarks on a photo, from yellow (near) to blue (far).
            ``"density"``: like an X-ray, from blue (little density along the line of sight) to yellow (much).
        z_range_unit: depths of the first and the last colour, unit frame. Pass the landmarks' depth range to get the
            same colours in cloud, shape and photo. None: the depth range that the volume fills.
        dark: black background instead of white.
        frame: draw the cube's edges, and the borders between slices if there are at most eight.
        behind: (S, S, 3) the crop, drawn on the cube's far wall. Use a pale one, so that the cloud stays visible.
    Returns:
        (size_px, size_px, 3) uint8 RGB.
    Raises:
        ValueError: the volume is not (D, H, W) or not finite, or ``colours`` is unknown.
    """
    if volume.ndim != 3 or 0 in volume.shape:
        raise ValueError(f"volume has shape {volume.shape}; expected (D, H, W)")
    if not np.isfinite(volume).all():
        raise ValueError("the volume holds values that are not finite; expected numbers of about 0…1")
    if colours not in ("depth", "density"):
        raise ValueError(f"colours {colours!r} are unknown; expected 'depth' or 'density'")
    canvas = _ground(view, size_px, dark, behind)
    if frame:
        _draw_cube(canvas, view, dark, near=False)
        _draw_borders(canvas, view, volume.shape[0], dark)
    picture = canvas.astype(np.float32)
    density = _deepened(_density(volume), max(volume.shape[1:]))
    sight = _Sight(density.shape, volume.shape, view, size_px)
    if colours == "depth":
        _coloured_by_depth(picture, density, sight, _depth_palette(density, z_range_unit))
    else:
        _coloured_by_density(picture, density, sight)
    canvas = np.clip(picture, 0, 255).round().astype(np.uint8)
    return _with_near_edges(canvas, view, dark) if frame else canvas


def draw_shape(
    points_unit: Points,
    markup: Markup,
    view: View = OBLIQUE,
    size_px: int = 256,
    *,
    dark: bool = False,
    frame: bool = True,
    behind: Image | None = None,
) -> Image:
    """Draw the landmarks and the lines between them in 3D, in the cube and the depth colours of ``draw_volume``.

    Args:
        points_unit: (N, 3) x, y, z in the crop's unit frame.
        view, size_px, dark, frame, behind: as in ``draw_volume``.
    Returns:
        (size_px, size_px, 3) uint8 RGB.
    Raises:
        ValueError: another number of points than the markup's, or a coordinate that is not finite.
    """
    _check_points(points_unit, markup)
    canvas = _ground(view, size_px, dark, behind)
    if frame:
        _draw_cube(canvas, view, dark, near=False)
    # Draw at twice the size and average: this keeps thin lines even.
    large = np.repeat(np.repeat(canvas, 2, axis=0), 2, axis=1)
    placed = place(points_unit, view, 2 * size_px)
    draw_markup(large, placed, markup, depth_colours(points_unit), max(1, size_px // 64), size_px / 48)
    canvas = np.asarray(cv2.resize(large, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)
    return _with_near_edges(canvas, view, dark) if frame else canvas


def draw_crop(crop_rgb: Image, points_crop: Points, markup: Markup, size_px: int = 256) -> Image:
    """The crop with its landmarks, resized.

    Args:
        crop_rgb: (S, S, 3) uint8. Not modified.
        points_crop: (N, 3) crop pixels; z, in any unit, sets the colours.
    Returns:
        (size_px, size_px, 3) uint8 RGB.
    Raises:
        ValueError: another number of points than the markup's, or a coordinate that is not finite.
    """
    _check_points(points_crop, markup)
    large = np.asarray(cv2.resize(crop_rgb, (2 * size_px, 2 * size_px), interpolation=cv2.INTER_CUBIC), np.uint8)
    points = resized(points_crop, 2 * size_px / len(crop_rgb))
    draw_markup(large, points, markup, depth_colours(points), max(1, size_px // 80), size_px / 64)
    return np.asarray(cv2.resize(large, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)


def depth_range(points_unit: Points) -> tuple[float, float]:
    """Smallest and largest z of (N, 3) landmarks."""
    return float(points_unit[:, 2].min()), float(points_unit[:, 2].max())


def stage_row(
    image_rgb_crop: Image,
    points_crop: Points,
    volumes: Sequence[NDArray[np.floating]],
    markup: Markup,
    *,
    true_crop: Points | None = None,
    view: View = OBLIQUE,
    size_px: int = 192,
) -> Image:
    """A row of pictures of one face: crop, crop with landmarks, volumes from coarse to fine, 3D shape.

    Args:
        image_rgb_crop: (S, S, 3) uint8, the network's input.
        points_crop: (N, 3) predicted landmarks, crop pixels, z = 0 at the crop's mid-depth.
        volumes: M arrays (d_m, H, W).
        markup: of the points.
        true_crop: (N, 3) true landmarks, crop pixels. If given, the first picture shows them on the crop.
        view: viewpoint of volumes and shape.
        size_px: side of each picture.
    Returns:
        (size_px, (3 + M) · size_px, 3) uint8 RGB. ``np.concatenate(rows)`` stacks rows with the same M to a sheet.
    Raises:
        ValueError: see ``draw_crop``, ``draw_volume`` and ``draw_shape``.
    Example: two volumes at 192 px give (192, 960, 3).
    """
    first = np.asarray(cv2.resize(image_rgb_crop, (size_px, size_px), interpolation=cv2.INTER_CUBIC), np.uint8)
    if true_crop is not None:
        first = draw_crop(image_rgb_crop, true_crop, markup, size_px)
    cells = [first, draw_crop(image_rgb_crop, points_crop, markup, size_px)]
    points_unit = crop_to_unit(points_crop, len(image_rgb_crop))
    z_range = depth_range(points_unit)
    cells += [draw_volume(volume, view, size_px, z_range_unit=z_range, dark=True) for volume in volumes]
    cells.append(draw_shape(points_unit, markup, view, size_px, dark=True))
    return np.concatenate(cells, axis=1)


def _check_points(points: Points, markup: Markup) -> None:
    if points.shape != (markup.n_points, 3):
        raise ValueError(f"points have shape {points.shape}; markup {markup.name!r} expects ({markup.n_points}, 3)")
    if not np.isfinite(points).all():
        raise ValueError("a landmark is not finite")


def _coloured_by_depth(
    picture: NDArray[np.float32], density: NDArray[np.float32], sight: _Sight, palette: NDArray[np.float32]
) -> None:
    """Composite the cloud onto the picture (S, S, 3), slice by slice. ``palette`` is (D, 3), a colour for each z."""
    for index in sight.far_to_near:
        part = np.take(density, index, axis=sight.axis)
        stack = part
        if sight.axis != 0:
            # Colours vary within this slice. Premultiply them, so that the colours of empty voxels do not bleed in.
            stack = np.dstack([part[:, :, None] * palette[:, None, :], part])
        laid = sight.laid(stack, part, index)
        if laid is None:
            continue
        rows, columns, warped = laid
        amount = warped.reshape(*warped.shape[:2], -1)[:, :, -1:]
        colour = palette[index] if sight.axis == 0 else np.minimum(warped[:, :, :3] / np.maximum(amount, 1e-6), 255)
        under = picture[rows, columns]
        under += (1 - np.exp(-sight.absorption * amount)) * (colour - under)


def _coloured_by_density(picture: NDArray[np.float32], density: NDArray[np.float32], sight: _Sight) -> None:
    """Composite the cloud onto the picture (S, S, 3) as an X-ray: total density sets both colour and opacity."""
    total = np.zeros(picture.shape[:2], np.float32)
    for index in sight.far_to_near:
        part = np.take(density, index, axis=sight.axis)
        laid = sight.laid(part, part, index)
        if laid is not None:
            rows, columns, warped = laid
            total[rows, columns] += sight.absorption * warped
    opacity = 1 - np.exp(-total)
    shades = cv2.applyColorMap((opacity * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[:, :, ::-1]
    picture += np.minimum(3 * opacity, 1)[:, :, None] * (shades - picture)


class _Sight:
    """Maps the slices of a volume to a picture. ``shape`` is the (D, H, W) of the resampled volume (``_deepened``)."""

    def __init__(self, shape: tuple[int, ...], own_shape: tuple[int, ...], view: View, size_px: int) -> None:
        self._shape, self._view, self._size_px = shape, view, size_px
        # Slice along the axis (0 = D, 1 = H, 2 = W) closest to the line of sight: no slice is then seen edge-on.
        forward = view.rotation[2, ::-1]
        self.axis = int(np.abs(forward).argmax())
        count = shape[self.axis]
        self.far_to_near = range(count - 1, -1, -1) if forward[self.axis] > 0 else range(count)
        # Path length through one slice, in voxels of the original volume: absorption must not depend on resampling.
        voxels = forward * np.array(own_shape) / (abs(forward[self.axis]) * count)
        self.absorption = _ABSORPTION * float(np.linalg.norm(voxels))

    def laid(
        self, stack: NDArray[np.float32], part: NDArray[np.float32], index: int
    ) -> tuple[slice, slice, NDArray[np.float32]] | None:
        """Warp slice ``index`` (rows, columns[, channels]) to the picture, cropped to the part that ``part`` fills."""
        filled = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if not len(filled[0]):
            return None
        to_picture = self._to_picture(index)
        (top, bottom), (left, right) = ((indices[0] - 2, indices[-1] + 2) for indices in filled)
        corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
        corners = corners @ to_picture[:, :2].T + to_picture[:, 2]
        x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, self._size_px - 1).tolist()
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 1, self._size_px).tolist()
        to_picture[:, 2] -= (x0, y0)
        warped = cv2.warpAffine(stack, to_picture, (x1 - x0, y1 - y0), flags=cv2.INTER_CUBIC)
        return slice(y0, y1), slice(x0, x1), np.asarray(warped, np.float32).clip(0)

    def _to_picture(self, index: int) -> NDArray[np.float64]:
        """(2, 3) affine map from (column, row) of a slice to the picture."""
        rows, columns = (axis for axis in range(3) if axis != self.axis)
        ends = np.zeros((3, 3))
        ends[:, self.axis] = index
        ends[1, columns] = ends[2, rows] = 1
        # Array order z, y, x → point order x, y, z.
        return _affine(place(vox_to_unit(ends[:, ::-1], self._shape), self._view, self._size_px))


def _affine(placed: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) affine map that takes (0, 0), (1, 0) and (0, 1) to the three points."""
    origin, right, down = placed[:, :2]
    return np.stack([right - origin, down - origin, origin], axis=1)


def _density(volume: NDArray[np.floating]) -> NDArray[np.float32]:
    """The density to draw, 0…1: without haze, and with more contrast than the volume."""
    above = (np.clip(volume, 0, 1) - _FLOOR) / (1 - _FLOOR)
    return np.asarray(above.clip(0) ** _CONTRAST, np.float32)


def _deepened(density: NDArray[np.float32], depth: int) -> NDArray[np.float32]:
    """(D, H, W) → at least ``depth`` slices, interpolated linearly between the centres of the given ones."""
    own, height, width = density.shape
    if own >= depth:
        return density
    # One image row per slice. OpenCV also puts integer coordinates at pixel centres.
    flat = cv2.resize(density.reshape(own, height * width), (height * width, depth), interpolation=cv2.INTER_LINEAR)
    return np.asarray(flat, np.float32).reshape(depth, height, width)


def _depth_palette(density: NDArray[np.float32], z_range_unit: tuple[float, float] | None) -> NDArray[np.float32]:
    """(D, 3) colour of each slice."""
    slices = np.arange(len(density))
    peaks = density.max(axis=(1, 2))
    filled = np.flatnonzero(peaks > 0.1 * peaks.max())
    ends = slices[[filled[0], filled[-1]]] if len(filled) else slices[[0, -1]]
    if z_range_unit is not None:
        ends = unit_to_vox(np.array(z_range_unit)[:, None].repeat(3, axis=1), density.shape)[:, 2]
    # Include the ends of the range, so that they get the first and the last colour.
    z = np.append(np.clip(slices, *np.sort(ends)), ends)
    return depth_colours(np.stack([z, z, z], axis=1))[:-2].astype(np.float32)


def _ground(view: View, size_px: int, dark: bool, behind: Image | None) -> Image:
    """An empty picture; if ``behind`` is given, with that crop on the cube's far wall."""
    canvas = np.full((size_px, size_px, 3), 14 if dark else 255, np.uint8)
    if behind is not None:
        side = len(behind)
        corners = np.array([[0.0, 0], [1, 0], [0, 1]])
        unit = np.column_stack(
            [vox_to_unit(np.column_stack([corners, np.zeros(3)]), (1, side, side))[:, :2], np.ones(3)]
        )
        matrix = _affine(place(unit, view, size_px))
        size = (size_px, size_px)
        cv2.warpAffine(behind, matrix, size, dst=canvas, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return canvas


def _with_near_edges(canvas: Image, view: View, dark: bool) -> Image:
    """Draw the near edges half transparent, so that they do not hide the cloud."""
    edged = canvas.copy()
    _draw_cube(edged, view, dark, near=True)
    return np.asarray(cv2.addWeighted(edged, 0.5, canvas, 0.5, 0), np.uint8)


def _draw_cube(canvas: Image, view: View, dark: bool, near: bool) -> None:
    """Draw the cube's visible edges (``near``), or its hidden ones."""
    forward = view.rotation[2]
    # Faces (axis, side) that point towards the viewer. A face seen edge-on does not count.
    seen = {(axis, int(forward[axis] < 0)) for axis in range(3) if abs(forward[axis]) > 1e-9}
    for a, b in _EDGES:
        faces = {(axis, int(_CORNERS[a, axis])) for axis in range(3) if _CORNERS[a, axis] == _CORNERS[b, axis]}
        if bool(faces & seen) == near:
            _line(canvas, place(_CORNERS[[a, b]], view, len(canvas)), 90 if dark else 175)


def _draw_borders(canvas: Image, view: View, slices: int, dark: bool) -> None:
    """Draw the borders between the slices of a coarse volume."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], np.float64)
    for z in np.arange(1, slices) / slices if slices <= _FEW_SLICES else ():
        outline = place(np.column_stack([square, np.full(5, z)]), view, len(canvas))
        for ends in pairwise(outline):
            _line(canvas, np.stack(ends), 45 if dark else 225)


def _line(canvas: Image, ends: NDArray[np.float64], grey: int) -> None:
    # The cube extends half a pixel beyond the outermost pixel centres.
    start, end = np.round(ends[:, :2].clip(0, len(canvas) - 1) * 16).astype(int).tolist()
    cv2.line(canvas, start, end, (grey, grey, grey), 1, cv2.LINE_AA, 4)
