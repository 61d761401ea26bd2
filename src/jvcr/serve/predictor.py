"""What a worker process makes of requests: it decodes, predicts and writes results."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import PIL.Image

from jvcr.frames import Box
from jvcr.images import Image, ImageError, TooManyPixels, UnknownFormat, decode_image
from jvcr.io.inputs import check_boxes
from jvcr.results import Face
from jvcr.serve.form import read_form
from jvcr.serve.landmarkers import Landmarkers, Setting
from jvcr.serve.options import FaceOptions, read_options
from jvcr.serve.refused import Refused
from jvcr.serve.results import exported, result
from jvcr.serve.settings import WorkerSettings
from jvcr.serve.work import Answer, Task, Work

_PASS_PIXELS = 50_000_000
"""Images that are decoded at a time have no more pixels than this together, unless it is a single one."""


class _Ready(NamedTuple):
    """A request whose image is decoded."""

    number: int
    work: Work
    options: FaceOptions
    image: Image
    boxes: list[Box] | None
    setting: Setting

    @property
    def kind(self) -> tuple[Setting, bool, bool]:
        """Requests of the same kind share forward passes."""
        return self.setting, self.boxes is not None, self.volumes

    @property
    def volumes(self) -> bool:
        return self.options.volume or self.work.task is Task.VIEW


class Predictor:
    """Answers requests.

    Raises:
        ValueError, FileNotFoundError, ImportError: weights or backend that cannot be opened.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.landmarkers = Landmarkers(settings)
        self._max_pixels = settings.max_pixels
        PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS or 0, settings.max_pixels)

    def answers(self, work: Sequence[Work]) -> Iterator[tuple[int, Answer]]:
        """The answer to each request with its index, in the order in which they are done. Raises nothing."""
        ready: list[_Ready] = []
        pixels = 0
        for index, one in enumerate(work):
            try:
                if one.task is Task.EXPORT:
                    yield index, exported(one, self.landmarkers.markups)
                    continue
                read = self._read(index, one)
            except Exception as error:
                yield index, _failed(error)
                continue
            more = read.image.shape[0] * read.image.shape[1]
            if ready and pixels + more > _PASS_PIXELS:
                yield from self._predicted(ready)
                ready, pixels = [], 0
            ready.append(read)
            pixels += more
        yield from self._predicted(ready)

    def _read(self, index: int, work: Work) -> _Ready:
        data, options = work.body, work.options
        if work.content_type.lower().startswith("multipart/"):
            form = read_form(work.body, work.content_type)
            data = form.image
            options = read_options(work.options.model_dump(exclude_unset=True) | form.fields)
        setting = self.landmarkers.setting(options)
        try:
            image = decode_image(data, "image", self._max_pixels)
        except UnknownFormat as error:
            raise Refused(415, str(error)) from None
        except TooManyPixels:
            raise Refused(
                422,
                f"image: more pixels than the limit of {self._max_pixels / 1e6:g} megapixels; reduce it first",
            ) from None
        except ImageError as error:
            raise Refused(422, str(error)) from None
        rows = options.box_rows
        try:
            boxes = None if rows is None else check_boxes(rows, image)
        except ValueError as error:
            raise Refused(422, f"boxes: {error}") from None
        return _Ready(index, work, options, image, boxes, setting)

    def _predicted(self, ready: list[_Ready]) -> Iterator[tuple[int, Answer]]:
        for kind in dict.fromkeys(read.kind for read in ready):
            yield from self._together([read for read in ready if read.kind == kind])

    def _together(self, ready: list[_Ready]) -> Iterator[tuple[int, Answer]]:
        """Requests of one kind in shared forward passes; one that fails must not stop the others."""
        try:
            found = self._faces(ready)
        except Exception as error:
            if len(ready) == 1:
                yield ready[0].number, _failed(error)
                return
            for read in ready:
                yield from self._together([read])
            return
        for read, faces in zip(ready, found, strict=True):
            try:
                yield read.number, result(read.work, read.options, read.image, faces, read.setting.weights)
            except Exception as error:
                yield read.number, _failed(error)

    def _faces(self, ready: list[_Ready]) -> list[list[Face]]:
        landmarker = self.landmarkers.of(ready[0].setting)
        images = [read.image for read in ready]
        boxes = None if ready[0].boxes is None else [read.boxes or [] for read in ready]
        return list(landmarker.predict_many(images, boxes, batch_size=len(images), volumes=ready[0].volumes))


def _failed(error: Exception) -> Answer:
    if isinstance(error, Refused):
        return Answer.refusal(error)
    # Only the kind of error: its text may be about the image.
    print(f"jvcr serve: a request failed with {type(error).__name__}", file=sys.stderr)
    return Answer(500, json.dumps({"error": f"the server failed on this request ({type(error).__name__})"}).encode())
