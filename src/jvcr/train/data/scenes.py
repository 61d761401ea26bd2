"""Training pictures for the detector: photographs of faces, rotated and scaled; face crops pasted onto photographs
without faces; close-ups that the frame truncates; pictures without a face; and mosaics of these.

Pure functions of the data and a random generator, so that every picture is reproducible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.data.face_photos import GENERAL_COLLECTIONS, FacePhoto, turned_box
from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.detect.network import PADDING
from jvcr.frames import Box, Crop, CropRule, borders, mirrored
from jvcr.geometry import crop_tilt_deg, mean_head
from jvcr.images import Image, extract
from jvcr.train.data.augment import Augmentation
from jvcr.train.data.masks import with_mask
from jvcr.train.data.negatives import HardNegatives
from jvcr.train.data.stream import Sampling, row_rates

NOTHING, FACE, IGNORED = 0, 1, 2
"""Kinds of a scene's rows: padding; a face to detect; a face that the losses ignore."""

MOST_FACES = 32

_MARGIN = 0.4
"""Minimum distance of a face's centre from the border, in face sizes, unless the border may truncate it."""

_BEYOND = 0.12
"""A face is shown and detected if its centre is at most this far outside the picture, in face sizes."""

_LEAST_VISIBLE, _LEAST_VISIBLE_SMALL = 0.24, 0.6
"""Faces with a smaller visible share are ignored. The second limit is for small faces."""

_CUT_FACES_PX = 40
"""Smaller faces must show ``_LEAST_VISIBLE_SMALL``."""

_COVERABLE = 0.8
"""Only faces with a larger visible share may also be covered."""


class Scene(NamedTuple):
    """A picture and its faces.

    image (S, S, 3) uint8 RGB; boxes (K, 4) float32 landmark boxes, pixels; kinds (K,) int64; roll_deg (K,) float32,
    clockwise rotation of each head's upward direction, NaN if unknown. K is ``MOST_FACES``.
    """

    image: Image
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    roll_deg: NDArray[np.float32]


@dataclass(frozen=True)
class SceneAugmentation:
    """Composition of the pictures. Fields that end in ``_share`` are probabilities; angles are standard deviations in
    degrees.

    Attributes:
        smallest_px, largest: range of the faces' longer sides, log-uniform: minimum in pixels, maximum as a share of
            the picture's side.
        pasted_share, empty_share, close_share: pictures with pasted faces, without a face, and filled by one face; the
            others are photographs.
        closest: maximum width or height of a face that fills the picture, as a share of the picture's side.
        cut_share: faces whose centre may be at the picture's border or a little outside, which truncates them.
        window_share: pictures that are visible only in a window, with a uniform colour around it.
        hard_share: backgrounds around false positives of the initial weights.
        mosaic_share: mosaics of four pictures of half the size.
        most_pasted: maximum number of faces pasted into a picture.
        any_roll_share: pictures (or pasted faces) with a uniform random rotation; the others use ``roll_deg``.
        patch_share: pictures with pasted parts of photographs without a face, so that a seam does not indicate a face.
        blur_share: pasted faces that are out of focus.
        cover_share: faces that are partly covered.
        mask_share: pasted faces and close-ups that wear a medical mask (``jvcr.train.data.masks``); 68 points only.
        pixels: light, sharpness and noise.
    """

    smallest_px: float = 6.0
    largest: float = 0.9
    pasted_share: float = 0.42
    empty_share: float = 0.16
    close_share: float = 0.1
    closest: float = 2.2
    cut_share: float = 0.2
    window_share: float = 0.2
    hard_share: float = 0.0
    mosaic_share: float = 0.25
    most_pasted: int = 8
    flip_share: float = 0.5
    any_roll_share: float = 0.4
    roll_deg: float = 30.0
    patch_share: float = 0.5
    blur_share: float = 0.15
    cover_share: float = 0.2
    mask_share: float = 0.0
    pixels: Augmentation = field(
        default_factory=lambda: Augmentation(occlusion_share=0.0, blur_share=0.06, coarse_share=0.06)
    )
    sampling: Sampling = field(default_factory=lambda: Sampling(half_profile=1.5, profile=2.0))

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_share") and not 0 <= value <= 1:
                raise ValueError(f"scenes.{name} is {value}; expected 0…1")
        if not 0 < self.largest <= 1 or self.smallest_px < 1 or self.most_pasted < 1 or self.roll_deg < 0:
            raise ValueError(
                f"scenes: smallest_px is {self.smallest_px}, largest {self.largest}, most_pasted {self.most_pasted}, "
                f"roll_deg {self.roll_deg}; expected at least 1, 0…1, at least 1, and at least 0"
            )
        if self.closest < self.largest:
            raise ValueError(f"scenes.closest is {self.closest}; expected at least largest, {self.largest}")
        kinds = self.pasted_share + self.empty_share + self.close_share
        if kinds > 1:
            raise ValueError(f"scenes: pasted_share, empty_share and close_share sum to {kinds:g}; expected at most 1")
        if self.pixels.occlusion_share:
            raise ValueError("scenes.pixels.occlusion_share must be 0: it would show pieces of faces elsewhere")


class _Face(NamedTuple):
    """box (4,) in the scene; roll in degrees or NaN; visible: share of the box inside the picture; centred: whether
    the centre of the box is inside, or near enough."""

    box: NDArray[np.float64]
    sure: bool
    roll_deg: float
    visible: float = 1.0
    centred: bool = True

    def within(self, low: NDArray[np.float64], high: NDArray[np.float64], beyond: float) -> _Face:
        """The face if only x, y from ``low`` to ``high`` shows. Its centre may be ``beyond`` face sizes outside."""
        inside = np.minimum(self.box[2:], high) - np.maximum(self.box[:2], low)
        share = float((np.maximum(inside, 0) / (self.box[2:] - self.box[:2])).prod())
        middle = (self.box[:2] + self.box[2:]) / 2
        margin = beyond * (self.box[2:] - self.box[:2])
        centred = bool((middle + margin > low).all() and (middle - margin < high).all())
        return self._replace(visible=min(share, self.visible), centred=centred and self.centred)


@dataclass(frozen=True, eq=False)
class SceneSources:
    """Sources of scenes.

    Attributes:
        photos: photographs with their faces.
        crops: face crops with landmarks, for pasting.
        hard: false positives of a detector in the photographs without a face.
    """

    photos: Sequence[FacePhoto]
    crops: Table
    hard: HardNegatives | None = None

    @cached_property
    def crowded(self) -> list[FacePhoto]:
        """Photographs with a certain face. General-purpose collections are excluded: their faces come from a detector
        alone, and include animals and statues."""
        return [p for p in self.photos if p.sure.any() and not p.name.startswith(GENERAL_COLLECTIONS)]

    @cached_property
    def empty(self) -> list[Image]:
        """Photographs that certainly show no face; if there are none, all photographs without a row."""
        unmarked = [p for p in self.photos if not len(p.boxes)]
        return [p.image for p in unmarked if p.surely_empty] or [p.image for p in unmarked]

    @cached_property
    def tilt_deg(self) -> NDArray[np.float64]:
        """(rows,) tilt of the crops' heads; NaN if the markup has no head pose."""
        if mean_head(self.crops.markup) is None:
            return np.full(len(self.crops), math.nan)
        return np.array([crop_tilt_deg(points, self.crops.markup) for points in self.crops.points])

    def ready(self) -> SceneSources:
        """Compute all cached values, so that forked workers share them."""
        _ = self.crowded, self.tilt_deg
        if not self.empty:
            raise ValueError("there is no photograph without a face; the detector needs some to paste faces onto")
        return self


def compose(
    sources: SceneSources, size_px: int, how: SceneAugmentation, rates: NDArray[np.float64], rng: Generator
) -> Scene:
    """A random scene. ``rates`` (rows of the crops,) is the probability that a crop is pasted; it sums to 1."""
    mosaic = rng.random() < how.mosaic_share
    # A centre outside one picture of a mosaic would be inside the next.
    maker = _Maker(sources, how, rates, rng, beyond=0.0 if mosaic else _BEYOND)
    if mosaic:
        half = size_px // 2
        image = np.empty((size_px, size_px, 3), np.uint8)
        faces: list[_Face] = []
        for corner in ((0, 0), (half, 0), (0, half), (half, half)):
            part, theirs = maker.picture(half)
            image[corner[1] : corner[1] + half, corner[0] : corner[0] + half] = part
            faces += [f._replace(box=f.box + np.tile(corner, 2)) for f in theirs]
    else:
        image, faces = maker.picture(size_px)
    return _scene(image, faces, how.smallest_px)


def scene_rates(crops: Table, sampling: Sampling) -> NDArray[np.float64]:
    """(rows,) probability that a crop is pasted, summing to 1."""
    rates = row_rates(crops, sampling)
    return rates / rates.sum()


@dataclass(frozen=True)
class _Maker:
    sources: SceneSources
    how: SceneAugmentation
    rates: NDArray[np.float64]
    rng: Generator
    beyond: float

    def picture(self, size_px: int) -> tuple[Image, list[_Face]]:
        how, rng = self.how, self.rng
        faces: list[_Face] = []
        kind = rng.random()
        if kind < how.empty_share:
            image = self._background(size_px)
            self._paste_patches(image)
        elif kind < how.empty_share + how.pasted_share or not self.sources.crowded:
            image = self._background(size_px)
            if rng.random() < how.patch_share:
                self._paste_patches(image)
            self._paste_faces(image, faces)
        elif kind < how.empty_share + how.pasted_share + how.close_share:
            image, faces = self._close_up(size_px)
        else:
            image, faces = self._photo(size_px)
        low, high = (np.full(2, border) for border in borders(size_px))
        if rng.random() < how.window_share:
            low, high = self._window(image, faces)
        faces = [face.within(low, high, self.beyond) for face in faces]
        for face in faces:
            if face.visible > _COVERABLE and rng.random() < how.cover_share:
                self._cover(image, face.box)
        if rng.random() < how.flip_share:
            image = np.ascontiguousarray(image[:, ::-1])
            faces = [_flipped(face, size_px) for face in faces]
        return image, faces

    def _photo(self, size_px: int) -> tuple[Image, list[_Face]]:
        """A photograph, turned and scaled so that one of its faces has a chosen size and place."""
        rng = self.rng
        photo = self.sources.crowded[rng.integers(len(self.sources.crowded))]
        box = Box(*photo.boxes[rng.choice(np.flatnonzero(photo.sure))].tolist())
        own = max(box.width, box.height)
        wanted = min(self._size(size_px), 3.0 * own)
        rotation = self._roll()
        crop = _placed(box, wanted / own, size_px, rotation, self._place(wanted, size_px))
        kind = rng.random()
        if kind < 0.7:
            image = extract(photo.image, crop, onto=self._background(size_px))
        elif kind < 0.9:
            image = extract(photo.image, crop)
        else:
            image = extract(photo.image, crop, onto=np.full((size_px, size_px, 3), rng.integers(0, 256, 3), np.uint8))
        faces = [
            _Face(turned_box(box, crop), bool(sure), math.nan)
            for box, sure in zip(photo.boxes, photo.sure, strict=True)
        ]
        return image, faces

    def _close_up(self, size_px: int) -> tuple[Image, list[_Face]]:
        """A face crop so near that the frame may cut it on every side."""
        rng, how = self.rng, self.how
        row = int(rng.choice(len(self.rates), p=self.rates))
        sample, rotation = self._masked(self.sources.crops[row]), self._roll()
        box = Box.around(sample.points_img)
        low, high = math.log(0.5 * how.largest), math.log(how.closest)
        wanted = size_px * math.exp(rng.uniform(low, high))
        place = rng.uniform(0.2, 0.8, 2) * size_px
        crop = _placed(box, wanted / max(box.width, box.height), size_px, rotation, place)
        kind = rng.random()
        if kind < 0.4:
            image = extract(sample.image, crop, onto=self._background(size_px))
        elif kind < 0.7:
            image = extract(sample.image, crop, cv2.BORDER_REFLECT_101)
        else:
            image = extract(sample.image, crop)
        inside = np.array(Box.around(crop.to_crop(sample.points_img)).to_list())
        return image, [_Face(inside, True, float(self.sources.tilt_deg[row]) + rotation)]

    def _window(self, image: Image, faces: list[_Face]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fill all but a window with a uniform colour, like a small or narrow picture with a border. If there is a
        face, the window contains its centre. Returns the window's low and high x, y."""
        rng, size_px = self.rng, len(image)
        extent = np.maximum(8, np.round(rng.uniform(0.4, 1.0, 2) * size_px)).astype(int)
        start = rng.integers(0, size_px - extent + 1)
        if faces:
            box = faces[rng.integers(len(faces))].box
            middle = (box[:2] + box[2:]) / 2
            start = np.clip(np.round(middle - rng.uniform(0.1, 0.9, 2) * extent).astype(int), 0, size_px - extent)
        colour = np.full(3, PADDING) if rng.random() < 0.7 else rng.integers(0, 256, 3)
        shown = image[start[1] : start[1] + extent[1], start[0] : start[0] + extent[0]].copy()
        image[:] = colour
        image[start[1] : start[1] + extent[1], start[0] : start[0] + extent[0]] = shown
        ends = [borders(int(length)) for length in extent]
        return start + np.array([low for low, _ in ends]), start + np.array([high for _, high in ends])

    def _place(self, wanted: float, size_px: int) -> NDArray[np.float64]:
        """Random position (x, y) of the centre of a face of this size."""
        margin = (-self.beyond if self.rng.random() < self.how.cut_share else _MARGIN) * wanted
        return self.rng.uniform(margin, size_px - margin, 2)

    def _background(self, size_px: int) -> Image:
        """A random part of a photograph without a face, sometimes rotated."""
        rng, hard = self.rng, self.sources.hard
        if hard is not None and hard.found and rng.random() < self.how.hard_share:
            return hard.view(size_px, rng)
        photo = self.sources.empty[rng.integers(len(self.sources.empty))]
        height, width = photo.shape[:2]
        side = rng.uniform(0.3, 1.0) * min(height, width)
        x, y = (rng.uniform(side / 2, extent - side / 2) for extent in (width, height))
        rotation = rng.choice([0.0, 90.0, 180.0, 270.0]) if rng.random() < 0.3 else 0.0
        return extract(photo, Crop(float(x), float(y), float(side), size_px, float(rotation)), cv2.BORDER_REFLECT_101)

    def _paste_faces(self, image: Image, faces: list[_Face]) -> None:
        rng, size_px = self.rng, len(image)
        count = min(int(rng.geometric(0.3)), self.how.most_pasted)
        # Large faces first, so that their surroundings do not cover small ones.
        for wanted in sorted((self._size(size_px) for _ in range(count)), reverse=True):
            row = int(rng.choice(len(self.rates), p=self.rates))
            sample, rotation = self._masked(self.sources.crops[row]), self._roll()
            wider = rng.uniform(1.35, 2.0)
            side = max(8, round(wider * wanted))
            crop = Crop.around(sample.points_img, side, rotation, CropRule(wider))
            inside = Box.around(crop.to_crop(sample.points_img))
            for _ in range(8):
                corner = np.round(self._place(wanted, size_px) - side / 2).astype(int)
                box = np.array(inside.to_list()) + np.tile(corner, 2)
                if all(_apart(box, other.box) for other in faces):
                    # The edge of a pasted patch must not reveal the size of the face in it.
                    under = rng.uniform(0.8, 2.5) * side
                    start = corner + (side - under) / 2 + rng.uniform(-0.2, 0.2, 2) * under
                    free = all(_apart(np.concatenate([start, start + under]), other.box) for other in faces)
                    if free and rng.random() < 0.6:
                        self._paste_patch(image, start, under)
                    self._paste(image, self._blurred(sample.image), crop, corner)
                    faces.append(_Face(box, True, float(self.sources.tilt_deg[row]) + rotation))
                    break

    def _paste_patches(self, image: Image) -> None:
        """Paste parts of photographs without a face, like faces."""
        rng = self.rng
        for _ in range(min(int(rng.geometric(0.3)), self.how.most_pasted)):
            side = 1.6 * self._size(len(image))
            self._paste_patch(image, rng.uniform(-side / 3, len(image) - 2 * side / 3, 2), side)

    def _paste_patch(self, image: Image, corner: NDArray[np.float64], side: float) -> None:
        side_px = max(8, round(side))
        photo = self._background(side_px)
        crop = Crop(side_px / 2, side_px / 2, side_px, side_px, self._roll())
        self._paste(image, photo, crop, np.round(corner).astype(int))

    def _masked(self, sample: Sample) -> Sample:
        """Sometimes with a mask."""
        # No random number is drawn without masks, so that earlier recipes give the same scenes.
        if not self.how.mask_share or self.rng.random() >= self.how.mask_share:
            return sample
        return replace(sample, image=with_mask(sample.image, sample.points_img, self.rng).image)

    def _blurred(self, piece: Image) -> Image:
        """Sometimes out of focus, like people in the background."""
        if self.rng.random() >= self.how.blur_share:
            return piece
        sigma = self.rng.uniform(0.005, 0.025) * piece.shape[0]
        return np.asarray(cv2.GaussianBlur(piece, (0, 0), sigma), np.uint8)

    def _paste(self, image: Image, piece: Image, crop: Crop, corner: NDArray[np.int64]) -> None:
        """Put a crop of ``piece`` onto the image, with a hard or soft edge."""
        size_px, side = len(image), crop.size_px
        (x0, y0), (x1, y1) = np.maximum(corner, 0), np.minimum(corner + side, size_px)
        if x1 <= x0 or y1 <= y0:
            return
        part = (slice(y0 - corner[1], y1 - corner[1]), slice(x0 - corner[0], x1 - corner[0]))
        mask = _mask(piece.shape[0], piece.shape[1], self.rng)
        alpha = extract(mask, crop, onto=np.zeros((side, side), np.uint8))[part][..., None].astype(np.uint16)
        pixels = extract(piece, crop)[part]
        under = image[y0:y1, x0:x1]
        under[:] = ((alpha * pixels + (255 - alpha) * under + 127) // 255).astype(np.uint8)

    def _cover(self, image: Image, box: NDArray[np.float64]) -> None:
        """Cover part of a face, at most half of its width and height, with a colour, noise or a photograph."""
        rng = self.rng
        extent = (box[2:] - box[:2]) * rng.uniform(0.15, 0.5, 2)
        start = rng.uniform(box[:2] - extent / 3, box[2:] - 2 * extent / 3)
        (x0, y0), (x1, y1) = (np.clip(np.round(v), 0, len(image)).astype(int) for v in (start, start + extent))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        kind = rng.random()
        if kind < 0.4:
            image[y0:y1, x0:x1] = rng.integers(0, 256, 3)
        elif kind < 0.6:
            image[y0:y1, x0:x1] = rng.integers(0, 256, (y1 - y0, x1 - x0, 3))
        else:
            image[y0:y1, x0:x1] = self._background(max(x1 - x0, y1 - y0))[: y1 - y0, : x1 - x0]

    def _size(self, size_px: int) -> float:
        low, high = math.log(self.how.smallest_px), math.log(self.how.largest * size_px)
        return math.exp(self.rng.uniform(low, high))

    def _roll(self) -> float:
        if self.rng.random() < self.how.any_roll_share:
            return float(self.rng.uniform(-180, 180))
        return float(np.clip(self.rng.normal(0, self.how.roll_deg), -75, 75))


def _placed(box: Box, scale: float, size_px: int, rotation_deg: float, place: NDArray[np.float64]) -> Crop:
    """The crop of ``size_px`` that shows the box enlarged by ``scale``, with its centre at ``place`` (x, y)."""
    frame = Crop(*box.centre, size_px / scale, size_px, rotation_deg)
    # The centre of the crop is opposite to ``place``.
    middle = frame.to_image(np.array([[*(size_px - 1 - place), 0.0]]))[0]
    return Crop(float(middle[0]), float(middle[1]), size_px / scale, size_px, rotation_deg)


def _flipped(face: _Face, size_px: int) -> _Face:
    x1, y0, x0, y1 = mirrored(face.box.reshape(2, 2), size_px).flatten().tolist()
    return face._replace(box=np.array([x0, y0, x1, y1]), roll_deg=-face.roll_deg)


def _apart(box: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two faces, with a margin, do not overlap."""
    margin = 0.1 * np.minimum(box[2:] - box[:2], other[2:] - other[:2]).min()
    return bool((box[:2] > other[2:] + margin).any() or (box[2:] < other[:2] - margin).any())


def _mask(height: int, width: int, rng: Generator) -> NDArray[np.uint8]:
    """(H, W) opacity of a pasted patch: full, full with a soft edge, or a soft ellipse."""
    kind = rng.random()
    if kind < 0.3:
        return np.full((height, width), 255, np.uint8)
    y, x = (np.abs(np.linspace(-1, 1, extent)) for extent in (height, width))
    reach = np.hypot(y[:, None], x[None]) if kind < 0.65 else np.maximum(y[:, None], x[None])
    soft = rng.uniform(0.05, 0.3)
    return (255 * np.clip((1.0 - reach) / soft, 0, 1)).astype(np.uint8)


def _scene(image: Image, faces: list[_Face], smallest_px: float) -> Scene:
    boxes = np.zeros((MOST_FACES, 4), np.float32)
    kinds = np.full(MOST_FACES, NOTHING)
    rolls = np.full(MOST_FACES, np.nan, np.float32)
    seen: list[tuple[float, int, _Face]] = []
    for face in faces:
        extent = float((face.box[2:] - face.box[:2]).max())
        if face.visible > 0.02:
            # A small face needs a larger visible share.
            least = _LEAST_VISIBLE if extent >= _CUT_FACES_PX else _LEAST_VISIBLE_SMALL
            fine = face.sure and face.centred and face.visible >= least and extent >= 0.9 * smallest_px
            seen.append((extent, FACE if fine else IGNORED, face))
    # If there are too many faces, drop the smallest.
    for row, (_, kind, face) in enumerate(sorted(seen, key=lambda s: -s[0])[:MOST_FACES]):
        boxes[row], kinds[row] = face.box, kind
        rolls[row] = (face.roll_deg + 180) % 360 - 180
    return Scene(image, boxes, kinds, rolls)
