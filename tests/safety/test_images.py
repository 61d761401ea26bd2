"""Untrusted images: bounded memory, only the listed formats, nothing that is no ordinary file."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import jvcr.images
from jvcr.images import MAX_PIXELS, ImageError, decode_image, read_image

SIDES = (3000, 4000)
"""Height and width of the large pictures: 12 megapixels."""

PEAK = """
import resource, sys
import PIL.Image
from jvcr.images import read_image
path, how = sys.argv[1:]
small = PIL.Image.new("RGB", (8, 8))
small.save(path + ".small.png")
read_image(path + ".small.png")
if how == "pillow":
    image = PIL.Image.open(path)
    image.load()
else:
    image = read_image(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak_bytes(path: Path, how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PEAK, str(path), how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def large_picture(kind: str) -> PIL.Image.Image:
    height, width = SIDES
    row = (np.arange(width) // 24).astype(np.uint8)
    grey = np.broadcast_to(row, (height, width))
    if kind == "16 bits":
        return PIL.Image.fromarray(np.ascontiguousarray(grey.astype(np.uint16) * 257))
    if kind == "float":
        return PIL.Image.fromarray(np.ascontiguousarray(grey.astype(np.float32) / 255))
    image = PIL.Image.fromarray(np.ascontiguousarray(grey))
    return image if kind == "1 byte" else image.convert({"palette": "P"}.get(kind, kind))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is asked of Linux")
@pytest.mark.parametrize(
    ("kind", "ending", "orientation"),
    [
        ("1 byte", "png", 1),
        ("palette", "png", 1),
        ("LA", "png", 1),
        ("RGB", "png", 6),
        ("RGBA", "png", 1),
        ("CMYK", "jpg", 1),
        ("16 bits", "png", 1),
        ("16 bits", "png", 8),
        ("float", "tiff", 1),
    ],
)
def test_memory_is_bounded(tmp_path: Path, kind: str, ending: str, orientation: int) -> None:
    """At most 6 bytes a pixel above what Pillow takes to decode the file, the result among them."""
    path = tmp_path / f"large.{ending}"
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options = {"transparency": 3} if kind == "palette" else {}
    large_picture(kind).save(path, **options, **({"exif": exif} if orientation > 1 else {}))
    extra = peak_bytes(path, "read_image") - peak_bytes(path, "pillow")
    assert extra < 6 * SIDES[0] * SIDES[1], f"{extra / SIDES[0] / SIDES[1]:.1f} bytes a pixel"


def picture(mode: str) -> PIL.Image.Image:
    """Small, but of many tiles where these are small."""
    values = np.random.default_rng(3).integers(0, 256, (37, 53, 4), dtype=np.uint8)
    if mode == "F":
        return PIL.Image.fromarray(values[..., 0].astype(np.float32) / 100)
    if mode == "I;16":
        return PIL.Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    if mode == "P":
        image = PIL.Image.fromarray(values[..., 0]).convert("RGB").quantize(40)
        image.info["transparency"] = 5
        return image
    whole = PIL.Image.fromarray(values, "RGBA")
    return whole if mode == "RGBA" else whole.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_give_what_the_whole_picture_gives(mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(mode)
    data = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    # Pillow itself turns TIFF's pictures.
    image.save(data, "TIFF" if mode in ("CMYK", "F") else "PNG", exif=exif)
    whole = decode_image(data.getvalue(), "whole")
    monkeypatch.setattr(jvcr.images, "_TILE_PIXELS", 20)
    np.testing.assert_array_equal(decode_image(data.getvalue(), "tiles"), whole)
    turned = {1: 0, 2: None, 3: 2, 4: None, 5: None, 6: 3, 7: None, 8: 1}[orientation]
    upright = io.BytesIO()
    image.save(upright, "TIFF" if mode in ("CMYK", "F") else "PNG")
    plain = decode_image(upright.getvalue(), "plain")
    expected = {
        2: plain[:, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        7: np.rot90(plain.transpose(1, 0, 2), 2),
    }.get(orientation, plain if turned is None else np.rot90(plain, turned))
    np.testing.assert_array_equal(whole, expected)


def test_the_limit_of_pixels_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("L", (100, 50)).save(path)
    assert read_image(path, max_pixels=5000).shape == (50, 100, 3)
    with pytest.raises(ImageError, match=r"a\.png: larger than the limit of 0\.004999 megapixels.*100 × 50"):
        read_image(path, max_pixels=4999)
    assert MAX_PIXELS == 170_000_000


def test_a_file_longer_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.webp"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(ImageError, match=r"sparse\.webp: 5369 MB, more than an image of 170 megapixels"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_ordinary_file_is_refused_before_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    # A socket's name may have 108 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{short}/s.jpg")
        for path, kind in (
            (Path("/dev/zero"), "a device"),
            (tmp_path / "pipe.jpg", "a named pipe"),
            (Path(short) / "s.jpg", "a socket"),
            (tmp_path, "a folder"),
        ):
            with pytest.raises(ImageError, match=f"{path}: cannot be read: it is {kind}"):
                read_image(path)


def test_a_name_with_nul_is_an_error_of_the_image() -> None:
    with pytest.raises(ImageError, match="NUL"):
        read_image("a\0b.jpg")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n0 0 40 30 rectfill\n%%EOF\n"


def test_postscript_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under any name: Pillow would hand it to Ghostscript."""
    import PIL.EpsImagePlugin

    started: list[object] = []
    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    with pytest.raises(ImageError, match="not an image in a known format"):
        read_image(path)
    assert not started


@pytest.mark.parametrize("name", ["PCX", "TGA", "ICO", "SGI"])
def test_formats_that_are_not_listed_are_not_opened(name: str) -> None:
    data = io.BytesIO()
    PIL.Image.new("RGB", (16, 16), "red").save(data, name)
    with pytest.raises(ImageError, match="not an image in a known format"):
        decode_image(data.getvalue(), "other")


def test_heic_is_read_where_its_package_is(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    code = (
        "import sys, numpy as np, PIL.Image, pillow_heif\n"
        "pillow_heif.register_heif_opener()\n"
        "PIL.Image.new('RGB', (64, 48), (200, 40, 60)).save(sys.argv[1], quality=95)"
    )
    path = tmp_path / "photo.heic"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    image = read_image(path)
    assert image.shape == (48, 64, 3)
    np.testing.assert_allclose(image[20, 20], (200, 40, 60), atol=8)


def test_heic_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(PIL.Image.OPEN, "HEIF", raising=False)
    with pytest.raises(ImageError, match=r"HEIC photo.*pip install \"\.\[heic\]\""):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(100), "IMG_0001.HEIC")
