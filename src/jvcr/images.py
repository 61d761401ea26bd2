"""Photos in, photos out, and the one place that samples a crop from an image."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from jvcr.frames import Crop

Image = NDArray[np.uint8]

IMAGE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm"}
)
MAX_PIXELS = 170_000_000
"""Larger images are refused before they are decoded: they would take half a gigabyte. (Pillow's own limit is 179 M.)"""

_STRIP = 64
"""Rows that are copied at a time."""

# From half that size on, Pillow warns; we refuse or accept.
warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)


class ImageError(ValueError):
    """An image that cannot be read. The message names it, says what is wrong and what to do."""


def read_image(path: str | Path) -> Image:
    """Read a photo as a viewer shows it: turned as its EXIF tag says, transparency on white, first frame of several.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB.

    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ImageError: missing, a folder, empty, not an image, cut off, or over ``MAX_PIXELS``.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> Image:
    """Encoded image → (H, W, 3) uint8 RGB, as ``read_image``; ``name`` is for messages."""
    if not data:
        raise ImageError(f"{name}: the file is empty; expected an image")
    try:
        image: PIL.Image.Image = PIL.Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise PIL.Image.DecompressionBombError(f"{image.width} × {image.height}")
        image.load()
        PIL.ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{name}: not an image in a known format (expected JPEG, PNG, WebP, TIFF, …)") from None
    except PIL.Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 10**6
        raise ImageError(f"{name}: larger than the limit of {limit} megapixels; reduce it first ({error})") from None
    except Exception as error:  # whatever the decoders make of bytes from anywhere
        raise ImageError(f"{name}: damaged or cut off ({error}); export or download it again") from error


def _to_rgb(image: PIL.Image.Image) -> Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_grey(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer)
    if image.mode != "RGB":
        image = image.convert("RGB")
    # In strips, or the pixels of a large photo would be in memory four times.
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        pixels[top : top + _STRIP] = np.asarray(strip)
    return pixels


def _scaled_grey(image: PIL.Image.Image) -> Image:
    """More than 8 bits of grey, which Pillow would clip: 16 bits, or floats in 0…1."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    top = 65535.0 if image.mode.startswith("I") else 1.0 if values.max(initial=0.0) <= 1 else 255.0
    grey = np.clip(values * (255 / top), 0, 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the path's ending."""
    ok, data = cv2.imencode(path.suffix, image[:, :, ::-1])
    if not ok:
        raise ValueError(f"{path}: OpenCV cannot write {path.suffix!r} files")
    # Not cv2.imwrite: it cannot open every path on every system.
    path.write_bytes(data.tobytes())


def extract(image: Image, crop: Crop, border: int = cv2.BORDER_REPLICATE, onto: Image | None = None) -> Image:
    """The crop's pixels, (S, S, 3) uint8.

    Large faces are reduced by area averaging first, so that the bilinear sampling that follows does not alias.

    Args:
        image: (H, W, 3) uint8.
        crop: where to sample; it may reach beyond the image.
        border: what OpenCV puts where there is no image.
        onto: (S, S, 3) a picture to keep where there is no image, instead of ``border``. Not modified.
    """
    image, crop = _cut_and_reduce(image, crop, max(1, math.floor(crop.side_px / crop.size_px)))
    size = (crop.size_px, crop.size_px)
    if onto is None:
        return cv2.warpAffine(image, crop.matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
    target = onto.copy()
    cv2.warpAffine(image, crop.matrix, size, dst=target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return target


def _cut_and_reduce(image: Image, crop: Crop, factor: int) -> tuple[Image, Crop]:
    """Cut out what the crop touches and average ``factor`` × ``factor`` pixels into one.

    The cut keeps OpenCV within its limit of 32,767 pixels a side.
    """
    height, width = image.shape[:2]
    reach = (
        crop.side_px
        / 2
        * (abs(math.cos(math.radians(crop.rotation_deg))) + abs(math.sin(math.radians(crop.rotation_deg))))
    )
    reach += 2 * factor
    left = min(max(0, math.floor(crop.centre_x - reach)), width - 1)
    top = min(max(0, math.floor(crop.centre_y - reach)), height - 1)
    right = min(max(left + 1, math.ceil(crop.centre_x + reach)), width)
    bottom = min(max(top + 1, math.ceil(crop.centre_y + reach)), height)
    part = image[top:bottom, left:right]
    if factor == 1:
        return part, crop.reduced(left, top, 1)
    # Whole cells only: the last, partial one is completed with its own edge.
    extra_x, extra_y = -part.shape[1] % factor, -part.shape[0] % factor
    if extra_x or extra_y:
        part = cv2.copyMakeBorder(part, 0, extra_y, 0, extra_x, cv2.BORDER_REPLICATE)
    size = (part.shape[1] // factor, part.shape[0] // factor)
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA), crop.reduced(left, top, factor)
