"""Medical masks, drawn onto faces by their landmarks. Training photos hardly have any."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68, Markup

_COLOURS = ((235, 240, 242), (130, 185, 215), (165, 205, 225), (25, 25, 28), (60, 62, 66), (225, 205, 190))
"""White, two surgical blues, black, grey, beige: RGB."""

_TOPS = (28, 29, 33)
"""Landmarks where the upper edge crosses the nose: high, normal, and below the nose."""

_TOP_RATES = (0.4, 0.45, 0.15)

_SUBPIXEL_BITS = 4


def check_markup(markup: Markup) -> None:
    """Raise a ValueError unless masks can be drawn with the landmarks of this markup."""
    if (markup.name, markup.n_points) != (MARKUP_68.name, MARKUP_68.n_points):
        raise ValueError(f"mask_share needs the markup {MARKUP_68.name!r}, not {markup.name!r}; leave it at 0")


class Masked(NamedTuple):
    """image (H, W, 3) uint8 RGB; hidden (68,): the landmarks behind the mask."""

    image: Image
    hidden: NDArray[np.bool_]


def with_mask(image: Image, points_img: NDArray[np.floating], rng: Generator) -> Masked:
    """A copy of the image in which the face wears a mask.

    Args:
        image: (H, W, 3) uint8 RGB.
        points_img: (68, 3) landmarks, image pixels.
    """
    outline = _outline(points_img, rng)
    extent = np.ptp(points_img[:, :2], axis=0).max()
    alpha = _filled(image.shape[:2], outline)
    # A soft edge, as sharp as the photo.
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.004 * extent))
    cloth = _cloth(image, points_img, outline, rng)
    masked = alpha[..., None] * cloth + (1 - alpha[..., None]) * image
    masked = np.asarray(masked.round().clip(0, 255), np.uint8)
    if rng.random() < 0.7:
        _draw_straps(masked, points_img, outline, extent, rng)
    corners = outline.astype(np.float32)
    inside = [cv2.pointPolygonTest(corners, point, False) >= 0 for point in points_img[:, :2].astype(float).tolist()]
    return Masked(masked, np.array(inside))


def _outline(points_img: NDArray[np.floating], rng: Generator) -> NDArray[np.float64]:
    """(K, 2) corners of the mask, convex: from jaw to jaw, over the nose, and around mouth and chin."""
    first = int(rng.integers(1, 4))
    jaw = np.arange(first, 17 - first)
    top = int(rng.choice(_TOPS, p=_TOP_RATES))
    nose = [top] if top == 33 else [top, 30]
    points = np.asarray(points_img[[*jaw, *nose, *range(48, 60)], :2], np.float64)
    # Cloth stands off the chin and the cheeks.
    middle = np.asarray(points_img[48:60, :2], np.float64).mean(axis=0)
    points[: len(jaw)] = middle + rng.uniform(1.0, 1.08) * (points[: len(jaw)] - middle)
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def _filled(shape: tuple[int, ...], outline: NDArray[np.float64]) -> NDArray[np.float32]:
    """(H, W) 0…1: the share of each pixel inside the outline."""
    mask = np.zeros(shape, np.uint8)
    corners = np.rint(outline * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(mask, np.float32) / np.float32(255)


def _cloth(
    image: Image, points_img: NDArray[np.floating], outline: NDArray[np.float64], rng: Generator
) -> NDArray[np.float32]:
    """(H, W, 3) the mask's colours everywhere: plain or printed, pleated or not, in the light of the face."""
    colour = _COLOURS[rng.integers(len(_COLOURS))] if rng.random() < 0.8 else rng.integers(0, 256, 3)
    cloth = np.full(image.shape, np.asarray(colour, np.float32), np.float32)
    height, width = image.shape[:2]
    if rng.random() < 0.15:
        print_px = max(2, round(0.1 * np.ptp(outline[:, 0])))
        small = rng.normal(0, 60, (height // print_px + 2, width // print_px + 2, 3)).astype(np.float32)
        cloth += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    # Height on the face: 0 at the nose's bridge, 1 at the chin.
    top, chin = (np.asarray(points_img[i, :2], np.float64) for i in (27, 8))
    down = (chin - top) / max(float(((chin - top) ** 2).sum()), 1.0)
    x, y = np.arange(width), np.arange(height)[:, None]
    level = (x - top[0]) * down[0] + (y - top[1]) * down[1]
    cloth *= (1.08 - 0.25 * level.clip(0, 1.2))[..., None]
    if rng.random() < 0.6:
        pleats = np.sin(2 * np.pi * (rng.uniform(3, 7) * level + rng.random()))
        cloth *= (1 - rng.uniform(0.02, 0.08) * pleats)[..., None]
    if (image == image[..., :1]).all():
        cloth[:] = cloth.mean(axis=2, keepdims=True)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.GaussianBlur(grey, (0, 0), max(1.0, 0.1 * np.ptp(outline[:, 0])))
    face = soft[_filled(image.shape[:2], outline) > 0]
    own = float(face.mean()) if len(face) else 128.0
    # Evenly lit skin is at about 150; the cloth is as dark as the face is.
    light = (soft / max(own, 1.0)).clip(0.5, 1.6) * (0.4 + 0.6 * min(own / 150, 1.4))
    return np.asarray(cloth * light[..., None] + rng.normal(0, 2, image.shape), np.float32)


def _draw_straps(
    image: Image, points_img: NDArray[np.floating], outline: NDArray[np.float64], extent: float, rng: Generator
) -> None:
    """Lines from the mask to the ears that face the camera."""
    colour = [int(v) for v in (rng.integers(0, 60, 3) if rng.random() < 0.3 else rng.integers(190, 256, 3))]
    width_px = max(1, round(0.012 * extent))
    for ear, other, corner in ((0, 16, 2), (16, 0, 14)):
        if points_img[ear, 2] - points_img[other, 2] > 0.3 * extent:
            continue  # behind the head
        ends = np.asarray(points_img[[corner, ear], :2], np.float64)
        start, end = (np.rint(end * 2**_SUBPIXEL_BITS).astype(int).tolist() for end in ends)
        cv2.line(image, start, end, colour, width_px, cv2.LINE_AA, _SUBPIXEL_BITS)
