"""Make the pictures of docs/figures.md from the astronaut photograph (public domain, included in scikit-image).

    python recipes/docs_figures.py

Figure 5 also shows the photograph mirrored, tilted and darkened. Needs the extras demo and train.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from jvcr.images import read_image, write_image

OUT = Path(__file__).parents[1] / "docs" / "images"


def photos(folder: Path) -> list[Path]:
    photo = astronaut()
    # Rotate by 15° clockwise about the head.
    tilt = cv2.getRotationMatrix2D((224, 132), -15, 1)
    shown = {
        "astronaut": photo,
        "mirrored": photo[:, ::-1],
        "tilted": cv2.warpAffine(photo, tilt, (512, 512), borderMode=cv2.BORDER_REFLECT),
        "dark": (photo * 0.35).astype(np.uint8),
    }
    paths = [folder / f"{name}.png" for name in shown]
    for path, image in zip(paths, shown.values(), strict=True):
        write_image(path, image)
    return paths


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faces = photos(folder)
        for number, arguments in (("2", faces[:1]), ("4", faces[:1]), ("5", faces)):
            drawn, target = folder / f"figure_{number}.png", OUT / f"figure_{number}.jpg"
            command = [sys.executable, "-m", "jvcr.cli.app", "figure", number, *arguments, "--out", drawn]
            subprocess.run([str(part) for part in command], check=True)
            ok, data = cv2.imencode(".jpg", read_image(drawn)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
            assert ok
            target.write_bytes(data.tobytes())
            print(f"{target}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
