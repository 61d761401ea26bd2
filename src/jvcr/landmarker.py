"""Image → faces. The public entry point."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import Detector, Proposal
from jvcr.detect.network import DETECT_SIZE, NetworkDetector
from jvcr.find import DEFAULT_POLICY, FaceFinder
from jvcr.frames import Box, Crop
from jvcr.images import Image
from jvcr.io.inputs import ImageInput, as_image, check_boxes
from jvcr.locate import LocatedFace, locate_many, trust_of, upright_crop
from jvcr.markups.markup import Markup
from jvcr.results import Face
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.base import Runtime
from jvcr.runtime.mirror import MirrorAveraged

if TYPE_CHECKING:
    from jvcr.video.track import TrackedFrame

MIN_SCORE = DEFAULT_POLICY.min_score
"""Default threshold: detected faces with a lower score are dropped."""


class Landmarker:
    """Finds faces and their 3D landmarks.

    Args:
        weights: ``"small"``, ``"nano"`` or ``"large"`` (``jvcr.weights``), or a file written by ``jvcr export``.
        detector: any function image → landmark boxes (``jvcr.detect.base.Detector``); by default the package's own
            (``jvcr.detect.network``). Use ``jvcr.detect.whole.whole_image`` if the images are already face crops.
        detect_size: longer side to which the package's detector reduces photos, pixels. A larger size finds smaller
            faces (down to about 12 pixels at that size) but takes longer.
        min_score: detected faces with a lower score are dropped. Faces in given boxes are always kept.
        refine: run a second pass on an upright crop centred on the first prediction, where it pays. Then boxes need not
            be exact, and heads need not be upright.
        mirror: flip averaging: average with the mirror image of the second crop, unless the network is sure of its
            first result. Lower error for up to twice the network's time.
        backend, device, precision: runtime of the landmark network, its device and its arithmetic
            (``jvcr.runtime.backends.open_backend``). With a ``Runtime`` of your own, ``weights`` is not used.
        threads: CPU threads of each network; 0 uses all cores.
        batch_size: crops per forward pass. Larger batches are hardly faster; each crop takes 6 MB.

    Instances are thread-safe. Except for rounding, a result does not depend on the rest of the batch. Instances can be
    pickled: the copy opens its weights again, by name or path.

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
        if not min_score == min_score:
            raise ValueError("min_score is nan; expected a number, 0…1")
        self._settings: dict[str, Any] = {
            "weights": weights,
            "detector": detector,
            "detect_size": detect_size,
            "min_score": min_score,
            "refine": refine,
            "mirror": mirror,
            "backend": backend,
            "device": device,
            "precision": precision,
            "threads": threads,
            "batch_size": batch_size,
        }

        def runtime() -> Runtime:
            if not isinstance(backend, str):
                return backend
            return open_backend(weights, backend, device=device, precision=precision, threads=threads)

        def proposer() -> Detector:
            return NetworkDetector(size=detect_size, threads=threads) if detector is None else detector

        self._runtime, proposals = _side_by_side(runtime, proposer)
        # Earlier passes only need to find the position, so they skip flip averaging.
        self._last_look: Runtime = MirrorAveraged(self._runtime) if mirror else self._runtime
        self._refine, self._mirror = refine, mirror
        self._batch_size = batch_size
        self._finder = FaceFinder(
            self._runtime,
            self._last_look,
            proposals,
            refine=refine,
            batch_size=batch_size,
            min_score=min_score,
        )

    @property
    def markup(self) -> Markup:
        """Names, mirror pairs and lines of the predicted landmarks."""
        return self._runtime.markup

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (type(self), self._settings)

    def predict(
        self, image_rgb: ImageInput, boxes: Iterable[Any] | None = None, *, volumes: bool = False
    ) -> list[Face]:
        """Predict the landmarks of every face.

        Args:
            image_rgb: (H, W, 3) uint8, red first; or a path, a ``PIL.Image``, a grey or RGBA array (see
                ``jvcr.io.inputs``). Not modified.
            boxes: landmark boxes, (K, 4) x0, y0, x1, y1 in image pixels, tight around the landmarks. They may reach
                beyond the image. None: find the faces.
            volumes: keep each face's ``volume``. A face takes 1.5 kB without it. A volume takes 4 bytes per voxel:
                512 kB for the 32 × 64 × 64 voxels of ``small``.
        Returns:
            With boxes: one ``Face`` per box, in their order. Without: the detected faces, best score first; may be [].
        Raises:
            TypeError: the type is not supported, or the array is not uint8.
            ValueError: wrong shape; a file that cannot be read (``ImageError``); a box that is empty, not finite, or
                entirely outside the image (the message names its index).
        """
        image = as_image(image_rgb)
        if boxes is not None:
            return next(self._in_boxes([(image, check_boxes(boxes, image))], volumes))
        return [self._face(image, *found, volumes) for found in self._finder(image, volumes)]

    def predict_many(
        self,
        images: Iterable[ImageInput],
        boxes: Iterable[Iterable[Any]] | None = None,
        *,
        batch_size: int = 8,
        volumes: bool = False,
    ) -> Iterator[list[Face]]:
        """Predict the landmarks in many images. Crops of several images share a forward pass.

        The results equal those of ``predict``, except for rounding. Images are read lazily: at most ``batch_size`` of
        them are in memory.

        Args:
            images: each as in ``predict``.
            boxes: one list of landmark boxes for each image; [] gives no faces. None: find the faces.
            batch_size: images searched together.
            volumes: as in ``predict``.
        Yields:
            one list of faces per image, in order.
        Raises:
            TypeError, ValueError: as in ``predict``; the message starts with the index of the image.

        Example::

            for path, faces in zip(paths, landmarker.predict_many(paths)):
                print(path, len(faces))
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1")
        return self._predict_many(images, boxes, batch_size, volumes)

    def _predict_many(
        self, images: Iterable[ImageInput], boxes: Iterable[Iterable[Any]] | None, batch_size: int, volumes: bool
    ) -> Iterator[list[Face]]:
        read = (_numbered(index, as_image, given) for index, given in enumerate(images))
        if boxes is not None:
            pairs = enumerate(zip(read, boxes, strict=True))
            yield from self._in_boxes(
                ((image, _numbered(index, check_boxes, given, image)) for index, (image, given) in pairs), volumes
            )
            return
        while window := list(itertools.islice(read, batch_size)):
            for image, faces in zip(window, self._finder.many(window, volumes), strict=True):
                yield [self._face(image, *found, volumes) for found in faces]

    def _in_boxes(self, given: Iterable[tuple[Image, list[Box]]], volumes: bool) -> Iterator[list[Face]]:
        """The faces in given boxes, image by image. Crops of several images share a forward pass."""
        waiting: deque[tuple[Image, list[Box], list[Face]]] = deque()

        def work() -> Iterator[tuple[Image, Crop]]:
            for image, boxes in given:
                waiting.append((image, boxes, []))
                yield from ((image, self._crop(box)) for box in boxes)

        rough = self._runtime if self._refine else None
        for found in locate_many(self._last_look, work(), self._batch_size, rough):
            # An image without boxes is complete from the start.
            while len(waiting[0][1]) == len(waiting[0][2]):
                yield waiting.popleft()[2]
            image, boxes, faces = waiting[0]
            score = self._runtime.confidence.score(found.score)
            faces.append(self._face(image, found, boxes[len(faces)], score, volumes))
        while waiting:
            yield waiting.popleft()[2]

    def track(self, source: str | Path | int, *, smooth: float = 0.5, **settings: Any) -> Iterator[TrackedFrame]:
        """Track the faces of a video (extra ``video``). For frames of your own, use ``jvcr.video.track.Tracker``.

        Args:
            source: video file, URL of a stream, or number of a camera.
            smooth: 0 to 1. 0 is no smoothing; 1 is the smoothest, with the most lag.
            settings: passed to ``Tracker``.
        Raises:
            MissingExtra: PyAV is not installed.
            ValueError: the source cannot be opened; or, after the last frame, the source failed or ended too early.
                Damaged packets are skipped, and a warning says how many.

        Example::

            for frame in landmarker.track("film.mp4"):
                for identity, face, _ in frame.faces:
                    print(frame.time_s, identity, face.landmarks[30])
        """
        # Imported here, so that photos need not wait for it.
        from jvcr.video.files import VideoSource
        from jvcr.video.track import Tracker

        tracker = Tracker(self, smooth, **settings)
        with VideoSource(source) as frames:
            for frame in frames:
                yield tracker.frame(frame)
            if frames.damaged:
                warnings.warn(f"{frames.name}: {frames.damaged} damaged packets were skipped", stacklevel=2)
            if frames.failure is not None:
                raise ValueError(frames.failure)

    def find_more(self, image: Image, known: Sequence[Box]) -> list[Face]:
        """The faces beside known ones, best score first, for later frames of a video. Without known ones: ``predict``.

        Args:
            image: (H, W, 3) uint8 RGB.
            known: boxes of the known faces. A detection whose middle lies in one of them is not looked at.
        """
        return [self._face(image, *found) for found in self._finder.beside(image, known)]

    def look_again(self, image: Image, landmarks: Sequence[NDArray[np.float32]]) -> list[Face | None]:
        """Look at faces whose landmarks are approximately known, as in the next frame of a video.

        One forward pass for each; with flip averaging, a second one on the mirror image where it pays.

        Args:
            landmarks: (N, 3) each, image pixels.
        Returns:
            one face for each, with the box around its landmarks; None for a face that has left the image.
        """
        height, width = image.shape[:2]
        there = [Box.around(points).meets(width, height) for points in landmarks]
        crops = [upright_crop(self._runtime, p) for p, inside in zip(landmarks, there, strict=True) if inside]
        work = ((image, crop) for crop in crops)
        rough = self._runtime if self._mirror else None
        located = locate_many(self._last_look, work, self._batch_size, rough)
        faces: list[Face | None] = []
        for inside in there:
            found = next(located) if inside else None
            gone = found is None or not Box.around(found.points_img).meets(width, height)
            faces.append(
                None
                if found is None or gone
                else self._face(image, found, Box.around(found.points_img), self._runtime.confidence.score(found.score))
            )
        return faces

    def candidates(self, image: Image) -> list[tuple[LocatedFace, Proposal]]:
        """The last result for each proposal that survives the first pass, with the proposal; before the final NMS."""
        return self._finder.candidates(image)

    def _crop(self, box: Box, rotation_deg: float = 0.0) -> Crop:
        return Crop.from_box(box, self._runtime.image_size, rotation_deg, self._runtime.crop_rule)

    def _face(self, image: Image, found: LocatedFace, box: Box, score: float, volumes: bool = False) -> Face:
        # Copy the volume: it is a view that would keep its whole batch in memory.
        volume = found.volume.copy() if volumes else None
        trust = trust_of(self._runtime, found, image)
        return Face(found.points_img, box, score, volume, found.crop, self.markup, *trust)


_Made = TypeVar("_Made")


def _numbered(index: int, make: Callable[..., _Made], *given: Any) -> _Made:
    """``make(*given)`` for one image; errors name its index."""
    try:
        return make(*given)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"image {index}: {error}") from error


def _open_again(kind: type[Landmarker], settings: dict[str, Any]) -> Landmarker:
    return kind(**settings)


_Other = TypeVar("_Other")


def _side_by_side(first: Callable[[], _Made], second: Callable[[], _Other]) -> tuple[_Made, _Other]:
    """The results of both calls. Opening a network takes a core 30 to 100 ms, and ONNX Runtime releases the GIL."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        other = pool.submit(second)
        return first(), other.result()
