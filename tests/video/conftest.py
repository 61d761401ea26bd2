"""A moving face whose motion is known, from the astronaut photograph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.evaluate.motion import MovingFaces, Path


@pytest.fixture(scope="session")
def tracking() -> Landmarker:
    return Landmarker(threads=1, mirror=False, detect_size=320)


@pytest.fixture(scope="session")
def faces_on(tracking: Landmarker) -> Callable[..., MovingFaces]:
    """Paths → a clip of 480 × 270 pixels with a face on each."""
    photo = astronaut()
    points = tracking.predict(photo, [[179, 87, 269, 178]])[0].landmarks

    def make(*paths: Path, noise: float = 3.0) -> MovingFaces:
        return MovingFaces(photo, points, paths, (480, 270), noise)

    return make
