"""Draw landmarks on a photo: warm colours near, cold colours far, thin lines and hollow dots where they are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import resized
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.results import Face

_NEAR = np.array([255.0, 214.0, 10.0])
_MIDDLE = np.array([255.0, 55.0, 95.0])
_FAR = np.array([40.0, 90.0, 255.0])
_SUBPIXEL_BITS = 4


def depth_colours(landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(N, 3) landmarks → (N, 3) RGB from near (yellow) over red to far (blue), over the face's own depth range."""
    z = landmarks[:, 2]
    share = ((z - z.min()) / max(float(np.ptp(z)), 1e-6))[:, None]
    near = _NEAR + (_MIDDLE - _NEAR) * np.minimum(share * 2, 1)
    return np.asarray(np.where(share < 0.5, near, _MIDDLE + (_FAR - _MIDDLE) * (share * 2 - 1)), np.uint8)


def draw_faces(image: Image, faces: Sequence[Face], boxes: bool = True, enlarge: bool = True) -> Image:
    """A copy of (H, W, 3) uint8 RGB with boxes, outlines and landmarks. ``enlarge`` scales small photos up, so that the
    drawing stays readable."""
    smallest = min((max(f.box.width, f.box.height) for f in faces), default=300.0)
    factor = int(np.clip(np.ceil(220 / smallest), 1, max(1, 1600 // max(image.shape[:2])))) if enlarge else 1
    canvas = image.copy()
    if factor > 1:
        canvas = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    for face in faces:
        _draw_face(canvas, face, factor, boxes)
    return canvas


def draw_boxes(image: Image, true: NDArray[np.floating], found: NDArray[np.floating]) -> Image:
    """A copy of (H, W, 3) uint8 RGB with true boxes (n, 4) in green and detected boxes (m, 4) in yellow."""
    canvas = image.copy()
    for boxes, colour in ((true, (0, 200, 60)), (found, (255, 214, 10))):
        for x0, y0, x1, y1 in boxes.tolist():
            corners = (_fixed(np.array([x0, y0])), _fixed(np.array([x1, y1])))
            cv2.rectangle(canvas, *corners, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return canvas


def _draw_face(canvas: Image, face: Face, factor: int, box: bool) -> None:
    size = max(face.box.width, face.box.height) * factor
    thick = max(1, round(size / 180))
    points = resized(face.landmarks[:, :2], factor)
    colours = depth_colours(face.landmarks)
    if box:
        corners = resized(np.array([[face.box.x0, face.box.y0], [face.box.x1, face.box.y1]]), factor)
        cv2.rectangle(canvas, _fixed(corners[0]), _fixed(corners[1]), (235, 235, 235), 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    placed = np.column_stack([points, face.landmarks[:, 2]])
    draw_markup(canvas, placed, face.markup, colours, thick, max(1.5, size / 110), face.hidden)


def draw_markup(
    canvas: Image,
    points: NDArray[np.floating],
    markup: Markup,
    colours: NDArray[np.uint8],
    thick_px: int,
    radius_px: float,
    away: NDArray[np.bool_] | None = None,
) -> None:
    """Draw lines and landmarks onto ``canvas``, far ones first, so that near ones cover them.

    Args:
        points: (N, 3) x, y in pixels of the canvas; z, away from the viewer, in any unit.
        colours: (N, 3) RGB of the landmarks; a line takes the mean of its ends.
        thick_px, radius_px: thickness of lines and radius of dots.
        away: (N,) landmarks to draw as hollow dots, with thin lines between them.
    """
    away = np.zeros(len(points), np.bool_) if away is None else away
    for a, b in sorted(markup.edges, key=lambda edge: -points[list(edge), 2].mean()):
        colour = tuple(int(c) for c in (colours[a].astype(int) + colours[b]) // 2)
        width = 1 if away[a] and away[b] else thick_px
        cv2.line(canvas, _fixed(points[a, :2]), _fixed(points[b, :2]), colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = round(radius_px * 2**_SUBPIXEL_BITS)
    for index in np.argsort(-points[:, 2]):
        colour = tuple(int(c) for c in colours[index])
        filled = 1 if away[index] else cv2.FILLED
        cv2.circle(canvas, _fixed(points[index, :2]), radius, colour, filled, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(point: NDArray[np.floating]) -> tuple[int, int]:
    """OpenCV's fixed-point coordinates."""
    x, y = np.clip(np.round(point * 2**_SUBPIXEL_BITS), -(2**30), 2**30).astype(int).tolist()
    return x, y
