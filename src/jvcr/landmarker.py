"""Image → faces. The public entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import Detector, Proposal, as_proposal, merge_overlapping
from jvcr.detect.confidence import face_score
from jvcr.detect.network import DETECT_SIZE, LIKELY_SCORE, NetworkDetector
from jvcr.frames import Box, Crop
from jvcr.images import Image
from jvcr.markup import Markup
from jvcr.results import Face
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.base import LocatedFace, Runtime, locate, locate_many, upright_crop
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.track import TrackedFrame, Tracker
from jvcr.video import VideoSource

MIN_SCORE = 0.65
"""Faces found by a detector are kept from this score on (chosen on held-out photographs: docs/LOG.md)."""

_ROUGH_LOOK = (0.1, 0.7)
"""Agreement and overlap of the look before the last: a crop that is not centred yet is judged mildly, and two are one
only when they are nearly the same."""

_MAY_GROW = 1.25
"""How much better landmarks and volume may agree in the last look than in the one before (docs/LOG.md)."""

_TURNED_DEG, _MAY_GROW_TURNED = 45, 2.0
"""The same where a first look saw the head turned by more than this: it is looked at once more before the last."""

_SAME_FACE = 0.4
"""Overlap (intersection over union) from which two faces are one."""

_LARGEST_BOX = 20
"""A given box may be this many times as large as the image; beyond that it is a mistake."""


class Landmarker:
    """Finds faces and their 3D landmarks.

    Args:
        weights: ``"small"``, ``"large"`` (``jvcr.weights``), or the path of a file written by ``jvcr export``.
        detector: any function image → landmark boxes (``jvcr.detect.base.Detector``); by default the package's own
            (``jvcr.detect.network``). ``jvcr.detect.whole.whole_image`` for images that are face crops already.
        detect_size: photos are reduced to this on their longer side for the package's detector. Larger finds smaller
            faces, down to about 12 pixels at that size, and takes longer.
        min_score: faces of the detector with a lower score are dropped. Faces of given boxes never are.
        refine: look at each face a second time, upright and centred by the first prediction: boxes need not be exact
            nor heads upright.
        mirror: average each face over its crop and the crop's mirror image: less error for twice the network's time.
        backend, device, precision: what runs the landmark network, where, and in which arithmetic
            (``jvcr.runtime.backends.open_backend``); or a ``Runtime`` of your own, then ``weights`` is not used.
        threads: CPU threads of each network; 0 takes all cores.
        batch_size: crops in one forward pass. More are hardly faster, and take 6 MB each.

    May be shared between threads. Results do not depend on what else is in the batch, but for rounding.

    Example::

        landmarker = Landmarker()
        for face in landmarker.predict(image_rgb):
            print(face.box, face.landmarks[30])   # tip of the nose: x, y, z in pixels
    """

    def __init__(
        self,
        weights: str | Path = "small",
        *,
        detector: Detector | None = None,
        detect_size: int = DETECT_SIZE,
        min_score: float = MIN_SCORE,
        refine: bool = True,
        mirror: bool = True,
        backend: str | Runtime = Backend.ONNXRUNTIME,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
        batch_size: int = 8,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1")
        self._runtime: Runtime = (
            open_backend(weights, backend, device=device, precision=precision, threads=threads)
            if isinstance(backend, str)
            else backend
        )
        # The looks before the last only need to find the place.
        self._last_look: Runtime = MirrorAveraged(self._runtime) if mirror else self._runtime
        self._detector: Detector = NetworkDetector(size=detect_size, threads=threads) if detector is None else detector
        self._min_score = min_score
        self._refine = refine
        self._batch_size = batch_size

    @property
    def markup(self) -> Markup:
        """Names, mirror pairs and outline of the landmarks that come out."""
        return self._runtime.markup

    def predict(self, image_rgb: Image, boxes: Iterable[Any] | None = None) -> list[Face]:
        """Landmarks of every face.

        Args:
            image_rgb: (H, W, 3) uint8, red first. Not modified.
            boxes: landmark boxes, (K, 4) x0, y0, x1, y1 in image pixels, tight around the landmarks. They may reach
                beyond the image. None: find the faces.
        Returns:
            With boxes: one ``Face`` a box, in their order. Without: the faces found, best score first; [] for none.
        Raises:
            TypeError: not a NumPy array of uint8.
            ValueError: another shape; a box that is empty, not finite, or entirely outside the image (the message
                names its index).
        """
        check_image(image_rgb)
        image = np.ascontiguousarray(image_rgb)
        if boxes is not None:
            checked = check_boxes(boxes, image)
            work = ((image, self._crop(box)) for box in checked)
            rough = self._runtime if self._refine else None
            looks = locate_many(self._last_look, work, self._batch_size, rough)
            return [self._face(found, box, face_score(found.score)) for box, found in zip(checked, looks, strict=True)]
        return self._find(image)

    def track(self, source: str | Path | int, *, smooth: float = 0.5, **settings: Any) -> Iterator[TrackedFrame]:
        """Follow the faces of a video (extra ``video``). For frames of your own, use ``jvcr.track.Tracker``.

        Args:
            source: video file, URL of a stream, or number of a camera.
            smooth: 0 gives each frame's own landmarks, 1 the steadiest and latest.
            settings: of ``Tracker``.
        Raises:
            MissingExtra: PyAV is not installed.
            ValueError: it cannot be opened, or breaks before its end, after the frames until there.

        Example::

            for frame in landmarker.track("film.mp4"):
                for identity, face, _ in frame.faces:
                    print(frame.time_s, identity, face.landmarks[30])
        """
        tracker = Tracker(self, smooth, **settings)
        with VideoSource(source) as frames:
            for frame in frames:
                yield tracker.frame(frame)
            if frames.failure is not None:
                raise ValueError(frames.failure)

    def look_again(self, image: Image, landmarks: Sequence[NDArray[np.float32]]) -> list[Face | None]:
        """One look at faces whose landmarks are about known, as in the next frame of a video.

        Args:
            landmarks: (N, 3) each, image pixels.
        Returns:
            a face each, its box around its landmarks; None for one that has left the image.
        """
        height, width = image.shape[:2]
        there = [Box.around(points).meets(width, height) for points in landmarks]
        crops = [upright_crop(self._runtime, p) for p, inside in zip(landmarks, there, strict=True) if inside]
        located = iter(locate(self._last_look, image, crops, self._batch_size))
        faces: list[Face | None] = []
        for inside in there:
            found = next(located) if inside else None
            gone = found is None or not Box.around(found.points_img).meets(width, height)
            faces.append(
                None
                if found is None or gone
                else self._face(found, Box.around(found.points_img), face_score(found.score))
            )
        return faces

    def _find(self, image: Image) -> list[Face]:
        proposals = [as_proposal(found) for found in self._detector(image)]
        likely = [p for p in proposals if p.score is None or p.score >= LIKELY_SCORE]
        found = self._looked_at(image, likely)
        faces = self._believed(image, found)
        # Nobody pays for the others where there is a face.
        if len(likely) < len(proposals) and not any(face.score >= MIN_SCORE for face in faces):
            found += self._looked_at(image, [p for p in proposals if p not in likely])
            faces = self._believed(image, found)
        return faces

    def _believed(self, image: Image, found: list[tuple[LocatedFace, Proposal]]) -> list[Face]:
        boxes = [Box.around(face.points_img) for face, _ in found]
        scores = [self._score(face, proposal) for face, proposal in found]
        kept = _distinct(image, [face for face, _ in found], scores, self._min_score, _SAME_FACE)
        return [self._face(found[i][0], boxes[i], scores[i]) for i in kept]

    def candidates(self, image: Image) -> list[tuple[LocatedFace, Proposal]]:
        """What is made of all of the detector's proposals, before scores decide; with each, the proposal that it comes
        from."""
        return self._looked_at(image, [as_proposal(found) for found in self._detector(image)])

    def _looked_at(self, image: Image, proposals: list[Proposal]) -> list[tuple[LocatedFace, Proposal]]:
        """Two looks, the second upright and centred by the first, at what may still reach the least score; or, without
        ``refine``, one."""
        crops = [self._crop(p.box, -p.roll_deg) for p in proposals]
        if self._refine:
            seen = locate(self._runtime, image, crops, self._batch_size)
            kept = _distinct(image, seen, [face.score for face in seen], *_ROUGH_LOOK)
            upright = {i: upright_crop(self._runtime, seen[i].points_img) for i in kept}
            # A head that the crop did not show upright is hardly believed: it is looked at once more.
            turned = [
                i
                for i in kept
                if _turned_deg(crops[i], upright[i]) > _TURNED_DEG
                and self._score(seen[i], proposals[i], _MAY_GROW_TURNED) >= self._min_score
            ]
            again = locate(self._runtime, image, [upright[i] for i in turned], self._batch_size)
            for i, face in zip(turned, again, strict=True):
                seen[i], upright[i] = face, upright_crop(self._runtime, face.points_img)
            kept = [i for i in kept if self._score(seen[i], proposals[i], _MAY_GROW) >= self._min_score]
            crops = [upright[i] for i in kept]
            proposals = [proposals[i] for i in kept]
        located = locate(self._last_look, image, crops, self._batch_size)
        return list(zip(located, proposals, strict=True))

    @staticmethod
    def _score(face: LocatedFace, proposal: Proposal, factor: float = 1.0) -> float:
        """The face's score, if its agreement were larger by a factor."""
        box = Box.around(face.points_img)
        return face_score(factor * face.score, proposal.score, max(box.width, box.height))

    def _crop(self, box: Box, rotation_deg: float = 0.0) -> Crop:
        return Crop.from_box(box, self._runtime.image_size, rotation_deg, self._runtime.crop_rule)

    def _face(self, found: LocatedFace, box: Box, score: float) -> Face:
        # A copy, so that a face that is kept does not keep its whole batch.
        return Face(found.points_img, box, score, found.volume.copy(), found.crop, self.markup)


def _turned_deg(crop: Crop, other: Crop) -> float:
    return abs((crop.rotation_deg - other.rotation_deg + 180) % 360 - 180)


def _distinct(
    image: Image, found: list[LocatedFace], scores: list[float], min_score: float, overlap: float
) -> list[int]:
    """Indices of those with enough score, on the image, and without better ones of (nearly) the same place; best
    first."""
    height, width = image.shape[:2]
    boxes = [Box.around(face.points_img) for face in found]
    kept = [i for i, box in enumerate(boxes) if scores[i] >= min_score and box.meets(width, height)]
    return [kept[i] for i in merge_overlapping([boxes[i] for i in kept], [scores[i] for i in kept], overlap)]


def check_image(image: object) -> None:
    """Raise unless ``image`` is (H, W, 3) uint8."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image is a {type(image).__name__}; expected a NumPy array (H, W, 3) uint8 RGB")
    if image.dtype != np.uint8:
        raise TypeError(
            f"image has dtype {image.dtype}; expected uint8, 0…255 "
            "(for floats in 0…1: (255 * x).round().astype(np.uint8))"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"image has shape {image.shape}; expected (H, W, 3) RGB "
            "(grey: np.stack([x] * 3, -1); RGBA: x[..., :3]; from OpenCV: x[..., ::-1])"
        )


def check_boxes(boxes: Iterable[Any], image: Image) -> list[Box]:
    """(K, 4) numbers or ``Box``es → ``Box``es on the image. Raises ValueError as in ``Landmarker.predict``."""
    height, width = image.shape[:2]
    if isinstance(boxes, Box):
        raise ValueError("boxes is a single Box; expected a list of boxes: [box]")
    rows = [box.to_list() if isinstance(box, Box) else box for box in boxes]
    if not rows:
        return []
    try:
        table = np.array(rows, np.float64).reshape(len(rows), -1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"boxes are not a table of numbers ({error}); expected (K, 4): x0, y0, x1, y1") from error
    if table.shape[1] != 4:
        raise ValueError(f"boxes have shape {np.shape(rows)}; expected (K, 4): x0, y0, x1, y1 in pixels")
    checked: list[Box] = []
    for index, row in enumerate(table.tolist()):
        try:
            box = Box(*row)
        except ValueError as error:
            raise ValueError(f"box {index}: {error}") from None
        if not box.meets(width, height):
            raise ValueError(f"box {index}: {row} lies entirely outside the image of {width} × {height} pixels")
        if max(box.width, box.height) > _LARGEST_BOX * max(width, height):
            raise ValueError(f"box {index}: {row} is far larger than the image of {width} × {height} pixels")
        checked.append(box)
    return checked
