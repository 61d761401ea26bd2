"""Small photos, good and bad, and batches of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from skimage.data import astronaut

from jvcr.batch.events import Event
from jvcr.batch.job import Engine, Tally, prepare, run
from jvcr.batch.settings import Settings

SETTINGS: dict[str, Any] = {"mirror": False, "refine": False, "photos_per_pass": 3, "time_limit_s": 20.0}


def write_photos(folder: Path, count: int) -> list[str]:
    """Photos of 150 × 160 pixels with a face, each with another light. Their names, in order."""
    base = cv2.resize(astronaut()[30:270, 100:325], (150, 160), interpolation=cv2.INTER_AREA)
    names = []
    for number in range(count):
        name = f"{'abc'[number % 3]}/{number:03d}.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray((base * (1 - 0.02 * (number % 20))).astype(np.uint8)).save(path, quality=92)
        names.append(name)
    return sorted(names)


@pytest.fixture
def make_photos() -> Callable[[Path, int], list[str]]:
    """``write_photos``."""
    return write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with 8 photos, to depth two."""
    write_photos(tmp_path / "photos", 8)
    return tmp_path / "photos"


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., Tally]:
    """Plan and run a batch into a folder of ``tmp_path`` or a URL; ``events`` collects what happened."""

    def make(
        source: object,
        out: str = "out",
        *,
        shard: int = 3,
        events: list[Event] | None = None,
        settings: dict[str, Any] | None = None,
        planned: dict[str, str] | None = None,
        **options: Any,
    ) -> Tally:
        place = out if "://" in out else str(tmp_path / out)
        prepare(str(source), place, Settings.of(**(SETTINGS | (settings or {}))), shard, **(planned or {}))
        collected: list[Event] = [] if events is None else events
        options.setdefault("notify", collected.append)
        return run(place, options.pop("notify"), **({"engine": Engine.HERE} | options))

    return make
