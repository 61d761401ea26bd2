"""Reading photos, good and bad, and sampling crops. Files are made by the tests."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from jvcr.frames import Crop
from jvcr.images import ImageError, decode_image, extract, read_image, write_image

RAMP = np.stack(np.broadcast_arrays(np.arange(60) * 4, np.arange(40)[:, None] * 6, np.full((40, 60), 30)), axis=-1)
PHOTO = RAMP.astype(np.uint8)
"""(40, 60, 3): red rises to the right, green downwards."""


def save(path: Path, image: PIL.Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif", "tiff", "gif", "bmp"])
def test_damaged_files_give_an_image_or_our_error(ending: str) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTO).save(buffer, {"jpg": "jpeg"}.get(ending, ending))
    rng = np.random.default_rng(4)
    for _ in range(60):
        data = bytearray(buffer.getvalue())
        for position in rng.integers(0, len(data), 3):
            data[position] = rng.integers(256)
        try:
            image = decode_image(bytes(data), "damaged")
        except ImageError as error:
            assert "damaged" in str(error)
        else:
            assert image.dtype == np.uint8


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims this size: signature, IHDR, and a little data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_plain_png_comes_back_exactly(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", PIL.Image.fromarray(PHOTO))
    np.testing.assert_array_equal(read_image(path), PHOTO)


def test_non_ascii_path_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "Gesichter – 写真 é" / "müller 顔.png"
    path.parent.mkdir()
    write_image(path, PHOTO)
    np.testing.assert_array_equal(read_image(path), PHOTO)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "grey.png", PIL.Image.fromarray(PHOTO[:, :, 0])))
    np.testing.assert_array_equal(image, np.repeat(PHOTO[:, :, :1], 3, axis=2))


def test_sixteen_bit_is_scaled_not_clipped(tmp_path: Path) -> None:
    deep = PHOTO[:, :, 0].astype(np.uint16) * 257  # 0…255 → 0…65535
    image = read_image(save(tmp_path / "deep.png", PIL.Image.fromarray(deep)))
    np.testing.assert_array_equal(image[:, :, 1], PHOTO[:, :, 0])


def test_dark_sixteen_bit_stays_dark(tmp_path: Path) -> None:
    path = save(tmp_path / "dark.png", PIL.Image.fromarray(np.full((6, 8), 200, np.uint16)))
    assert read_image(path).max() == 1  # 200 of 65535


def test_float_tiff_in_unit_range_is_scaled(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    image = read_image(save(tmp_path / "float.tiff", PIL.Image.fromarray(values)))
    assert image[0, :, 0].tolist() == [0, 128, 255, 0]


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((5, 7, 4), np.uint8)
    pixels[:, 3:] = (10, 20, 30, 255)
    image = read_image(save(tmp_path / "alpha.png", PIL.Image.fromarray(pixels)))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 4].tolist() == [10, 20, 30]


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    red = PIL.Image.new("RGB", (32, 24), (220, 30, 40)).convert("CMYK")
    image = read_image(save(tmp_path / "cmyk.jpg", red, quality=95))
    assert image.shape == (24, 32, 3)
    np.testing.assert_allclose(image[10, 10], (220, 30, 40), atol=6)


@pytest.mark.parametrize(
    ("orientation", "shape"), [(1, (40, 60, 3)), (3, (40, 60, 3)), (6, (60, 40, 3)), (8, (60, 40, 3))]
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, shape: tuple[int, ...]) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    # Lossless WebP carries EXIF and keeps the pixels.
    path = save(tmp_path / "turned.webp", PIL.Image.fromarray(PHOTO), exif=exif, lossless=True)
    image = read_image(path)
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]  # counter-clockwise quarter turns that set it upright
    assert image.shape == shape
    np.testing.assert_array_equal(image, np.rot90(PHOTO, turns))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1, "progressive": True}])
def test_jpeg_has_the_pixels_of_pillow(orientation: int, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(orientation).integers(0, 256, (41, 67, 3), dtype=np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "jpeg", exif=exif, **options)
    expected = PIL.ImageOps.exif_transpose(PIL.Image.open(buffer))
    image = decode_image(buffer.getvalue(), "photo")
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, np.asarray(expected))
    # With bytes after the end-of-image marker, Pillow decodes it.
    np.testing.assert_array_equal(decode_image(buffer.getvalue() + b"trailer", "photo"), image)


def test_jpeg_that_is_cut_off_is_refused_at_every_length() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "jpeg")
    data = buffer.getvalue()
    for length in range(2, len(data) - 2, 7):
        with pytest.raises(ImageError):
            decode_image(data[:length], "cut")


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    path = save(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_image(path)[5, 5].tolist() == [255, 0, 0]


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    assert read_image(save(tmp_path / "dot.png", PIL.Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.jpg: no such file"):
        read_image(tmp_path / "nowhere.jpg")


def test_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: the file is empty"):
        read_image(path)


def test_text_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not a photo")
    with pytest.raises(ImageError, match=r"notes\.jpg: not an image"):
        read_image(path)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_truncated_file(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"cut.{ending}", PIL.Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"cut\.{ending}: (damaged or cut off|not an image)"):
        read_image(path)


def test_huge_header_is_refused_before_decoding() -> None:
    # Decoding would need 1.2 GB, and would report missing data instead.
    with pytest.raises(ImageError, match=r"bomb\.png: .*limit of 170 megapixels"):
        decode_image(png_header(20_000, 20_000), "bomb.png")


def test_extract_samples_where_the_matrix_says() -> None:
    crop = Crop(centre_x=24.25, centre_y=17.5, side_px=10.0, size_px=20)
    # Crop column 0 is the centre of the first of 20 samples over 10 px: 24.25 - 5 + 0.25 = 19.5 → red 78.
    assert extract(PHOTO, crop)[0, 0, 0] == 78


@pytest.mark.parametrize("centre_x", [29.5, 30.5, 31.5])
def test_extract_reduces_by_averaging(centre_x: float) -> None:
    # Every third column is white. 48 pixels on 16 take every third pixel: without averaging, all of them or none white.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::3] = 240
    np.testing.assert_allclose(extract(stripes, Crop(centre_x, 31.5, 48.0, 16)), 80, atol=1)
    np.testing.assert_allclose(extract(stripes.swapaxes(0, 1), Crop(31.5, centre_x, 48.0, 16)), 80, atol=1)


def test_extract_does_not_average_what_is_not_reduced() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    # Columns 20 to 35, each at its pixel's centre.
    assert extract(stripes, Crop(27.5, 31.5, 16.0, 16))[3, :, 0].tolist() == [200, 0] * 8


def test_extract_from_a_picture_wider_than_opencv_can_warp() -> None:
    strip = np.zeros((40, 40_000, 3), np.uint8)
    strip[:, 39_000:] = 50
    assert (extract(strip, Crop(39_500.0, 20.0, 30.0, 16)) == 50).all()


def test_extract_beyond_the_image_keeps_the_given_picture() -> None:
    onto = np.full((16, 16, 3), 7, np.uint8)
    out = extract(PHOTO, Crop(0.0, 20.0, 16.0, 16), onto=onto)
    assert (out[:, :7] == 7).all()
    assert (out[:, 9:, 2] == 30).all()
    assert (onto == 7).all()
