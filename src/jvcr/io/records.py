"""Results as JSON lines: one object per photo or frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jvcr.images import Image
from jvcr.results import Face


def photo_record(name: str, image: Image, faces: list[Face]) -> dict[str, Any]:
    """The JSON object of one photo."""
    return {"image": name, **_size(image), "faces": [face.to_dict() for face in faces]}


def frame_record(
    index: int,
    time_s: float,
    image: Image,
    faces: Iterable[tuple[int, Face]],
    eyes: Mapping[int, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The JSON object of one frame of a video.

    Args:
        faces: identity and face. eyes: by identity, values to add to a face as ``eyes``.
    """
    return {
        "frame": index,
        "time": round(time_s, 6),
        **_size(image),
        "faces": [_tracked(identity, face, (eyes or {}).get(identity)) for identity, face in faces],
    }


def _tracked(identity: int, face: Face, eyes: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": identity, **face.to_dict(), **({} if eyes is None else {"eyes": eyes})}


def _size(image: Image) -> dict[str, int]:
    height, width = image.shape[:2]
    return {"width": width, "height": height}
