"""Read and write photos, and sample crops. No other module samples a crop from an image."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from jvcr.files import open_regular, write_bytes
from jvcr.frames import Crop

Image = NDArray[np.uint8]

IMAGE_ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm"),
        *(".heic", ".heif"),
    }
)
MAX_PIXELS = 170_000_000
"""Default limit: larger images are refused before they are decoded. The result takes 3 bytes per pixel; while decoding,
Pillow's own image takes another 1 to 4."""

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "HEIF")
"""Pillow's names of the formats we read; ``HEIF`` needs the package pillow-heif. Nothing else is opened, whatever the
file's name: some of Pillow's formats start other programs (EPS), and fewer decoders mean a smaller attack surface."""

_SHARED_BRANDS = (b"mif1", b"msf1")
"""Brands of files that may be HEIC or AVIF."""

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", *_SHARED_BRANDS)

_TILE_PIXELS = 1 << 18
"""Number of pixels converted at a time."""

_MOST_BYTES = 16
"""The largest uncompressed pixel: four 32-bit numbers. Files with more bytes per pixel are not read."""

_LYING = (5, 6, 7, 8)
"""EXIF orientations that swap rows and columns."""

_HEADERS = 64 << 20
"""Allowance for the bytes of a file that hold no pixels."""

# Pillow warns above half of its limit; we only refuse or accept.
warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)


class ImageError(ValueError):
    """An image that cannot be read. The message names the file, the fault and what to do."""


class UnknownFormat(ImageError):
    """Not an image, or one of a format that is not read here."""


class TooManyPixels(ImageError):
    """An image over the limit, which was not decoded."""


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a photo as a viewer shows it: rotated by its EXIF tag, transparency on white, the first of several frames.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB. HEIC needs the extra ``heic``.

    Args:
        max_pixels: width × height of the largest image to decode. Pillow has its own limit, twice
            ``PIL.Image.MAX_IMAGE_PIXELS``.
    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ImageError: missing, a folder, a device or a pipe, empty, not an image, cut off, or over ``max_pixels``.
    Memory: 3 bytes per pixel for the result, plus 20 MB, plus what Pillow needs to decode the file.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES * max_pixels + _HEADERS:
                raise ImageError(
                    f"{path}: {size / 1e6:.0f} MB, more than an image of {max_pixels / 1e6:g} megapixels can take"
                )
            return _decode(file, size, str(path), max_pixels)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except ImageError:
        raise
    except ValueError as error:  # not a regular file
        raise ImageError(str(error)) from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error


class Header(NamedTuple):
    """What a photo's file says before its pixels: size as stored (width, height), and EXIF data."""

    size: tuple[int, int]
    exif: PIL.Image.Exif


def read_exif(path: str | Path) -> Header:
    """Size and EXIF data of a photo, without decoding it.

    Raises:
        ImageError: as ``read_image``.
    """
    try:
        with open_regular(Path(path)) as file:
            start = file.read(12)
            if start[4:8] == b"ftyp" and start[8:] in _HEIF_BRANDS:
                _register_heif(str(path), start[8:])
            file.seek(0)
            with PIL.Image.open(file, formats=_formats()) as image:
                return Header(image.size, image.getexif())
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except ImageError:
        raise
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{path}: not an image in a known format (expected JPEG, PNG, WebP, TIFF, …)") from None
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise ImageError(f"{path}: damaged or cannot be read ({error}); export or download it again") from error


def decode_image(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Image:
    """Encoded image → (H, W, 3) uint8 RGB, as ``read_image``; ``name`` is for messages."""
    return _decode(io.BytesIO(data), len(data), name, max_pixels)


def from_pillow(image: PIL.Image.Image) -> Image:
    """A ``PIL.Image`` as (H, W, 3) uint8 RGB, by the rules of ``read_image``. Not modified.

    Raises:
        ImageError: empty, or its file is damaged (Pillow reads pixels only when they are needed).
    """
    name = str(getattr(image, "filename", "") or "the PIL.Image")
    if not image.width or not image.height:
        raise ImageError(f"{name}: has {image.width} × {image.height} pixels; expected an image")
    try:
        image.load()
        return _to_rgb(image)
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise ImageError(f"{name}: cannot be read ({error}); export or download it again") from error


def _decode(file: BinaryIO, size: int, name: str, max_pixels: int) -> Image:
    if not size:
        raise ImageError(f"{name}: the file is empty; expected an image")
    start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:] in _HEIF_BRANDS:
        _register_heif(name, start[8:])
    file.seek(0)
    try:
        image: PIL.Image.Image = PIL.Image.open(file, formats=_formats())
        if image.width * image.height > max_pixels:
            raise PIL.Image.DecompressionBombError(f"{image.width} × {image.height}")
        stored = _jpeg_pixels(image, file)
        if stored is not None:
            return _turned_upright(stored, _orientation(image))
        image.load()
        return _to_rgb(image)
    except PIL.UnidentifiedImageError:
        raise UnknownFormat(f"{name}: not an image in a known format (expected JPEG, PNG, WebP, TIFF, …)") from None
    except PIL.Image.DecompressionBombError as error:
        raise TooManyPixels(
            f"{name}: larger than the limit of {max_pixels / 1e6:g} megapixels; reduce it first, or raise the limit, "
            f"max_pixels ({error})"
        ) from None
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        raise ImageError(f"{name}: damaged or cut off ({error}); export or download it again") from error


@functools.cache
def _load_plugins() -> None:
    # Loaded by name: Pillow's ``init`` loads all 43 formats, which takes longer than decoding a photo.
    for name in ("Jpeg", "Mpo", "Png", "WebP", "Avif", "Tiff", "Gif", "Bmp", "Jpeg2K", "Ppm"):
        with contextlib.suppress(ImportError):
            import_module(f"PIL.{name}ImagePlugin")


def _formats() -> list[str]:
    """The ``FORMATS`` that this build of Pillow reads."""
    _load_plugins()
    return [name for name in FORMATS if name in PIL.Image.OPEN]


def _register_heif(name: str, brand: bytes) -> None:
    """Register the HEIC decoder with Pillow (extra ``heic``)."""
    if "HEIF" in PIL.Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        if brand in _SHARED_BRANDS:
            return
        raise UnknownFormat(
            f"{name}: a HEIC photo; reading it needs the package pillow-heif: in a clone of jvcr, "
            'pip install ".[heic]", or export the photo as JPEG'
        ) from None
    register_heif_opener()


class _Tile(NamedTuple):
    """Position of a part of the picture, as stored."""

    rows: slice
    columns: slice
    part: PIL.Image.Image


def _tiles(image: PIL.Image.Image) -> Iterator[_Tile]:
    """The picture in tiles of at most ``_TILE_PIXELS``: converting it whole needs several copies in memory."""
    width = min(image.width, _TILE_PIXELS)
    height = min(image.height, max(1, _TILE_PIXELS // width))
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            right, bottom = min(left + width, image.width), min(top + height, image.height)
            yield _Tile(slice(top, bottom), slice(left, right), image.crop((left, top, right, bottom)))


def _jpeg_pixels(image: PIL.Image.Image, file: BinaryIO) -> Image | None:
    """The pixels of a colour JPEG as stored, decoded by OpenCV; None for all other files.

    OpenCV gives the same pixels as Pillow in half the time. But it fills what a cut-off file lacks with grey without an
    error, so files that do not end with the end-of-image marker are left to Pillow.
    """
    if image.format != "JPEG" or image.mode != "RGB":
        return None
    file.seek(0)
    data = file.read()
    if not data.endswith(b"\xff\xd9"):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if pixels is None or pixels.shape != (image.height, image.width, 3):
        return None
    return np.asarray(pixels, np.uint8)


def _orientation(image: PIL.Image.Image) -> Any:
    """The EXIF orientation, 1…8, or whatever a careless writer put there."""
    return image.getexif().get(0x0112, 1)


def _turned_upright(stored: Image, orientation: Any) -> Image:
    upright = np.empty(stored.transpose(1, 0, 2).shape if orientation in _LYING else stored.shape, np.uint8)
    view = _as_stored(upright, orientation)
    if view is upright:
        return stored
    view[:] = stored
    return upright


def _to_rgb(image: PIL.Image.Image) -> Image:
    """A loaded picture as upright 8-bit RGB."""
    orientation = _orientation(image)
    size = (image.width, image.height) if orientation in _LYING else (image.height, image.width)
    pixels = np.empty((*size, 3), np.uint8)
    stored = _as_stored(pixels, orientation)
    if image.mode.startswith("I") or image.mode == "F":
        # Grey with more than 8 bits, which Pillow would clip: 16 bits, or floats in 0…1.
        top = 65535.0 if image.mode.startswith("I") else 1.0 if _brightest(image) <= 1 else 255.0
        for tile in _tiles(image):
            values = np.clip(_finite(tile.part) * (255 / top), 0, 255).round().astype(np.uint8)
            stored[tile.rows, tile.columns] = values[:, :, None]
        return pixels
    transparent = image.has_transparency_data
    for tile in _tiles(image):
        part = tile.part
        if transparent:
            layer = part.convert("RGBA")
            part = PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer)
        stored[tile.rows, tile.columns] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return pixels


def _as_stored(upright: Image, orientation: Any) -> Image:
    """A view of the upright (H, W, 3) picture in the order in which a file of this EXIF orientation stores it."""
    lying = upright.transpose(1, 0, 2)
    views = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: lying,
        6: lying[::-1],
        7: lying[::-1, ::-1],
        8: lying[:, ::-1],
    }
    return views.get(orientation, upright)


def _brightest(image: PIL.Image.Image) -> float:
    return max(float(_finite(tile.part).max(initial=0.0)) for tile in _tiles(image))


def _finite(part: PIL.Image.Image) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(part, np.float64))


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the path's ending, completely or not at all.

    Raises:
        ValueError: OpenCV writes no such format. OSError: it cannot be written (a full disk, for example).
    """
    ok, data = cv2.imencode(path.suffix, image[:, :, ::-1])
    if not ok:
        raise ValueError(f"{path}: OpenCV cannot write {path.suffix!r} files")
    # Not cv2.imwrite: it cannot open every path on every system.
    write_bytes(path, data.data)


def extract(image: Image, crop: Crop, border: int = cv2.BORDER_REPLICATE, onto: Image | None = None) -> Image:
    """The crop's pixels, (S, S, 3) uint8.

    Large faces are reduced by area averaging first, so that the bilinear sampling that follows does not alias.

    Args:
        image: (H, W, 3) uint8.
        crop: where to sample; it may reach beyond the image.
        border: OpenCV's border mode for pixels outside the image.
        onto: (S, S, 3) background for pixels outside the image, instead of ``border``. Not modified.
    """
    image, crop = _cut_and_reduce(image, crop, max(1, math.floor(crop.side_px / crop.size_px)))
    size = (crop.size_px, crop.size_px)
    if onto is None:
        return cv2.warpAffine(image, crop.matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
    target = onto.copy()
    cv2.warpAffine(image, crop.matrix, size, dst=target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return target


def _cut_and_reduce(image: Image, crop: Crop, factor: int) -> tuple[Image, Crop]:
    """Cut out the part of the image that the crop covers and average ``factor`` × ``factor`` pixels into one.

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
    # Whole cells, without padding if the image is large enough.
    right, bottom = min(right + (left - right) % factor, width), min(bottom + (top - bottom) % factor, height)
    part = image[top:bottom, left:right]
    if factor == 1:
        return part, crop.reduced(left, top, 1)
    # At the image's border, a partial last cell is padded with its edge pixels.
    extra_x, extra_y = -part.shape[1] % factor, -part.shape[0] % factor
    if extra_x or extra_y:
        part = cv2.copyMakeBorder(part, 0, extra_y, 0, extra_x, cv2.BORDER_REPLICATE)
    size = (part.shape[1] // factor, part.shape[0] // factor)
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA), crop.reduced(left, top, factor)
