"""Results as JSON lines: one object per photo or frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jvcr.images import Image
from jvcr.results import Face


def photo_record(name: str, image: Image, faces: list[Face]) -> dict[str, Any]:
    """The JSON object of one photo."""
    return {"image": name, **_size(image), "faces": [face.to_dict() for face in faces]}


def frame_record(index: int, time_s: float, image: Image, faces: Iterable[tuple[int, Face]]) -> dict[str, Any]:
    """The JSON object of one frame of a video; ``faces`` are (identity, face)."""
    return {
        "frame": index,
        "time": round(time_s, 6),
        **_size(image),
        "faces": [{"id": identity, **face.to_dict()} for identity, face in faces],
    }


def _size(image: Image) -> dict[str, int]:
    height, width = image.shape[:2]
    return {"width": width, "height": height}
