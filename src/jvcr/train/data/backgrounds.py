"""Background photographs: padding, and crops without a face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numpy.random import Generator

from jvcr.data.face_photos import LABELS_FILE, read_face_photos
from jvcr.frames import Box, Crop
from jvcr.images import Image, extract

_TRIES = 10


@dataclass(frozen=True, eq=False)
class Backgrounds:
    """Photographs from the detection table. If ``without_faces`` is empty, they are not used for padding, and every
    crop has a face.

    Attributes:
        without_faces: photographs without a face.
        with_faces: photographs with the landmark boxes of all their faces.
    """

    without_faces: tuple[Image, ...] = ()
    with_faces: tuple[tuple[Image, tuple[Box, ...]], ...] = ()

    def patch(self, size_px: int, rng: Generator) -> Image:
        """A random square from a photograph without a face."""
        photo = self.without_faces[rng.integers(len(self.without_faces))]
        return extract(photo, _random_square(photo, size_px, rng))

    def no_face_crop(self, size_px: int, rng: Generator) -> Image:
        """A crop without a centred face: from a photograph without faces, or from one whose faces are all far from the
        centre of the crop or of a very different size."""
        if self.with_faces and rng.random() < 0.5:
            for _ in range(_TRIES):
                photo, boxes = self.with_faces[rng.integers(len(self.with_faces))]
                crop = _random_square(photo, size_px, rng)
                if all(crop.square.iou(Crop.from_box(box, size_px).square) < 0.2 for box in boxes):
                    return extract(photo, crop)
        return self.patch(size_px, rng)


def _random_square(photo: Image, size_px: int, rng: Generator) -> Crop:
    height, width = photo.shape[:2]
    side = rng.uniform(0.25, 1.0) * min(height, width)
    x, y = (rng.uniform(side / 2, extent - side / 2) for extent in (width, height))
    return Crop(float(x), float(y), float(side), size_px)


def read_backgrounds(folder: Path, held_out: bool = False, left_out: list[str] | None = None) -> Backgrounds:
    """The photographs of one split of the detection table (``jvcr.data.face_photos``); empty if there is no such table.

    Args:
        left_out: see ``read_face_photos``.
    """
    if not (folder / LABELS_FILE).is_file():
        return Backgrounds()
    photos = read_face_photos(folder, *(("val", "test") if held_out else ("train",)), left_out=left_out)
    return Backgrounds(
        without_faces=tuple(p.image for p in photos if not len(p.boxes)),
        with_faces=tuple((p.image, tuple(Box(*box) for box in p.boxes.tolist())) for p in photos if len(p.boxes)),
    )
