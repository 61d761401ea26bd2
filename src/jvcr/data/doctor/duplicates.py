"""Duplicate photos: exact copies, and copies that were scaled, recompressed, shifted a little or mirrored.

Two small grey images are kept of each image: the face, cropped by its landmark box, so that crops and scales of a photo
match; and the whole image, for copies whose labels differ. Pairs are found in three steps of increasing strictness and
cost: product of 16×16 images, correlation over shifts and scales, and correlation of the detail after an affine
registration. Faces have similar light and dark areas, so only the detail decides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop, CropRule
from jvcr.images import Image, extract

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Measured on the project's own training table and perturbed copies of a tenth of it; docs/data-check.md.
SAME = 0.95
"""Minimum correlation of the detail for the same photo."""
SIMILAR = 0.85
"""Minimum correlation for photos of the same session, or heavily edited copies."""
FACE_RULE = CropRule(1.4)
"""Side of the face crop, divided by the longer side of the landmark box."""
_SIDE = 48
_COARSE = 16
_COARSE_FACE, _COARSE_WHOLE = 0.8, 0.93
_SHIFTED = 0.85
_CANDIDATES = 8
_MEAN_FROM = 100
_MIN_CONTRAST = 4.0
_BLOCK = 1024


@dataclass(frozen=True)
class Pair:
    """Two images of the same photo. ``similarity``: correlation of the detail, 1 for an exact copy."""

    first: int
    second: int
    similarity: float
    mirrored: bool
    exact: bool
    other_face: bool = False
    """Whether the landmark boxes do not overlap: two faces in the same photo."""


class _Candidate(NamedTuple):
    first: int
    second: int
    mirrored: bool


@dataclass
class Fingerprints:
    """Collected image by image; 5 kB each. Two images with the same non-empty key are expected to look alike (views of
    one face) and are not compared."""

    rows: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _hashes: list[bytes] = field(default_factory=list)
    _faces: list[Bytes | None] = field(default_factory=list)
    _wholes: list[Bytes] = field(default_factory=list)
    _boxes: list[tuple[float, float, float, float] | None] = field(default_factory=list)

    def add(self, row: int, image: Image, box: Box | None, key: str = "") -> None:
        """Add the fingerprint of an (H, W, 3) uint8 RGB image."""
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        height, width = grey.shape
        self.rows.append(row)
        self.keys.append(key)
        self._hashes.append(
            hashlib.blake2b(image.tobytes() + bytes(str(image.shape), "ascii"), digest_size=16).digest()
        )
        self._wholes.append(np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8))
        usable = box is not None and belongs(box, image)
        face = extract(grey, Crop.from_box(box, _SIDE, rule=FACE_RULE)) if box is not None and usable else None
        self._faces.append(face)
        self._boxes.append((box.x0 / width, box.y0 / height, box.x1 / width, box.y1 / height) if box else None)

    def pairs(self) -> list[Pair]:
        """All pairs, most similar first. Quadratic in the number of images, with a small constant."""
        found: dict[tuple[int, int], Pair] = {}
        by_hash: dict[bytes, list[int]] = {}
        for i, digest in enumerate(self._hashes):
            by_hash.setdefault(digest, []).append(i)
        for members in by_hash.values():
            for second in members[1:]:
                found[members[0], second] = self._pair(members[0], second, 1.0, False, True, True)
        with_face = [i for i, face in enumerate(self._faces) if face is not None]
        faces = np.array([self._faces[i] for i in with_face], np.uint8).reshape(-1, _SIDE, _SIDE)
        self._near(found, faces, np.array(with_face, int), _COARSE_FACE, whole=False)
        wholes = np.array(self._wholes, np.uint8).reshape(-1, _SIDE, _SIDE)
        self._near(found, wholes, np.arange(len(wholes)), _COARSE_WHOLE, whole=True)
        return sorted(found.values(), key=lambda pair: -pair.similarity)

    def _near(
        self, found: dict[tuple[int, int], Pair], pictures: Bytes, index: NDArray[np.int_], limit: float, whole: bool
    ) -> None:
        good = np.flatnonzero(pictures.std(axis=(1, 2)) >= _MIN_CONTRAST) if len(pictures) else np.zeros(0, int)
        pictures, index = pictures[good], index[good]
        keys = np.array([self.keys[i] for i in index])
        for a, b, mirrored in _alike(pictures, keys, limit):
            first, second = sorted((int(index[a]), int(index[b])))
            if (first, second) in found:
                continue
            other = np.ascontiguousarray(pictures[b][:, ::-1]) if mirrored else pictures[b]
            if _shifted(pictures[a], other) < _SHIFTED:
                continue
            similarity = detail_similarity(pictures[a], other)
            if similarity >= SIMILAR:
                found[first, second] = self._pair(first, second, similarity, mirrored, False, whole)

    def _pair(self, i: int, j: int, similarity: float, mirrored: bool, exact: bool, whole: bool) -> Pair:
        """``whole``: the pair was found by the whole image, so it may show another face of the photo."""
        other_face = False
        a, b = self._boxes[i], self._boxes[j]
        if whole and a is not None and b is not None:
            x0, x1 = (1 - b[2], 1 - b[0]) if mirrored else (b[0], b[2])
            other_face = Box(*a).iou(Box(x0, b[1], x1, b[3])) < 0.2
        return Pair(self.rows[i], self.rows[j], similarity, mirrored, exact, other_face)


def belongs(box: Box, image: Image) -> bool:
    """Whether a box overlaps the image and is not many times larger. Labels are not validated here."""
    height, width = image.shape[:2]
    return box.meets(width, height) and max(box.width, box.height) < 8 * max(width, height)


def _alike(pictures: Bytes, keys: NDArray[np.str_], limit: float) -> list[_Candidate]:
    """Pairs whose coarse images (or one image and the mirrored other) have a normalised product over ``limit``; at most
    ``_CANDIDATES`` per image."""
    if len(pictures) < 2:
        return []
    plain, mirrored = _coarse(pictures), _coarse(pictures[:, :, ::-1])
    if len(pictures) >= _MEAN_FROM:
        # Remove what all images have in common.
        mean = plain.mean(axis=0)
        plain, mirrored = _unit(plain - mean), _unit(mirrored - mean)
    pairs: list[_Candidate] = []
    for start in range(0, len(pictures), _BLOCK):
        block = plain[start : start + _BLOCK]
        for other, turned in ((plain, False), (mirrored, True)):
            product = block @ other[start:].T
            a, b = np.nonzero(product > limit)
            later = b > a
            a, b = a[later], b[later]
            expected = (keys[a + start] == keys[b + start]) & (keys[a + start] != "")
            a, b = a[~expected], b[~expected]
            order = np.lexsort((-product[a, b], a))
            a, b = a[order], b[order]
            rank = np.arange(len(a)) - np.searchsorted(a, a)
            pairs += [
                _Candidate(int(i) + start, int(j) + start, turned)
                for i, j in zip(a[rank < _CANDIDATES], b[rank < _CANDIDATES], strict=True)
            ]
    return pairs


def _coarse(pictures: Bytes) -> Floats:
    """(B, 48, 48) → (B, 256) float32 with zero mean and unit length."""
    cell = _SIDE // _COARSE
    small = pictures.reshape(len(pictures), _COARSE, cell, _COARSE, cell).mean(axis=(2, 4), dtype=np.float32)
    flat = small.reshape(len(pictures), -1)
    return _unit(flat - flat.mean(axis=1, keepdims=True))


def _unit(values: Floats) -> Floats:
    return values / (np.linalg.norm(values, axis=1, keepdims=True) + np.float32(1e-9))


def _shifted(a: Bytes, b: Bytes) -> float:
    """Best correlation over shifts up to an eighth of the picture and scales of ±8 %."""
    best = -1.0
    inner = 3 * _SIDE // 4
    for side in (_SIDE - 4, _SIDE, _SIDE + 4):
        scaled = b if side == _SIDE else cv2.resize(b, (side, side), interpolation=cv2.INTER_LINEAR)
        start = (side - inner) // 2
        part = scaled[start : start + inner, start : start + inner]
        best = max(best, float(cv2.matchTemplate(a, part, cv2.TM_CCOEFF_NORMED).max()))
    return best


def detail_similarity(a: Bytes, b: Bytes) -> float:
    """Correlation of the detail (finer than a twelfth of the side) of two (48, 48) images after an affine registration;
    0 if the registration fails."""
    try:
        warp = np.eye(2, 3, dtype=np.float32)
        stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        _, warp = cv2.findTransformECC(a, b, warp, cv2.MOTION_AFFINE, stop, None, 3)  # type: ignore[call-overload]
    except cv2.error:  # no convergence: the images have nothing in common
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(b, warp, a.shape[::-1], flags=flags)
    common = cv2.warpAffine(np.ones_like(b), warp, a.shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    edge = _SIDE // 12
    common[:edge], common[-edge:], common[:, :edge], common[:, -edge:] = False, False, False, False
    if common.sum() < _SIDE * _SIDE * 0.4:
        return 0.0
    x, y = _detail(a)[common], _detail(moved)[common]
    x, y = x - x.mean(), y - y.mean()
    length = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / length if length > 0 else 0.0


def _detail(picture: Bytes) -> Floats:
    values = picture.astype(np.float32)
    return np.asarray(values - cv2.GaussianBlur(values, (0, 0), _SIDE / 12), np.float32)
