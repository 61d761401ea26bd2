"""Photos read and decoded ahead of the network, in threads, each within a time limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

import PIL.Image

from jvcr.batch.source import Kind, ParquetRows, Photo, Source, read_bytes
from jvcr.images import Image, decode_image

_THREADS = 2
"""Photos in decoding at a time. A worker has a core of its own: more would only take memory."""

_AHEAD, _AHEAD_PIXELS = 16, 50_000_000
"""At most so many photos, and about so many pixels, wait decoded."""

_MOST_BYTES_A_PIXEL, _HEADERS = 16, 64 << 20


@dataclass
class ReadPhoto:
    """A photo that was read.

    Attributes:
        index: of the photo in the plan.
        image: (H, W, 3) uint8 RGB; None where ``error`` says why not.
        boxes: landmark boxes that were given for it; None: find the faces.
        encoded_bytes: size of its file.
        read_ms: how long it took.
    """

    index: int
    photo: Photo
    image: Image | None = None
    boxes: list[list[float]] | None = None
    encoded_bytes: int | None = None
    error: str | None = None
    read_ms: float = 0.0


class Reader:
    """Reads the photos of a source.

    Args:
        time_limit_s: a photo that takes longer is given up; the thread that reads it is left behind.
    """

    def __init__(self, source: Source, max_pixels: int, time_limit_s: float) -> None:
        self._source, self._max_pixels, self._time_limit_s = source, max_pixels, time_limit_s
        self._lock = threading.Lock()
        # Pillow's own limit must not be the lower one.
        PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS or 0, max_pixels)

    def read(self, photos: Iterable[tuple[int, Photo]]) -> Iterator[ReadPhoto]:
        """Read photos ahead; they come in order."""
        tasks: SimpleQueue[_Task | None] = SimpleQueue()
        waiting: deque[_Task] = deque()
        threads = 0
        rows = ParquetRows(self._source) if self._source.kind == Kind.PARQUET else None
        source = iter(photos)
        try:
            while True:
                while len(waiting) < _AHEAD and sum(task.pixels for task in waiting) < _AHEAD_PIXELS:
                    given = next(source, None)
                    if given is None:
                        break
                    waiting.append(_Task(ReadPhoto(*given)))
                    tasks.put(waiting[-1])
                    if threads < _THREADS:
                        threads += 1
                        self._start(tasks, rows)
                if not waiting:
                    return
                task = waiting.popleft()
                if not self._finished(task):
                    task.abandoned = True
                    # The next photos need a thread in place of the one that hangs.
                    threads += 1
                    self._start(tasks, rows)
                    yield ReadPhoto(
                        task.read.index,
                        task.read.photo,
                        error=f"reading it takes longer than the limit of {self._time_limit_s:g} s",
                        read_ms=1000 * self._time_limit_s,
                    )
                    continue
                yield task.read
        finally:
            for _ in range(threads):
                tasks.put(None)

    def _start(self, tasks: SimpleQueue[_Task | None], rows: ParquetRows | None) -> None:
        # A daemon: a thread that hangs must not keep the process from ending.
        threading.Thread(target=self._work, args=(tasks, rows), daemon=True).start()

    def _finished(self, task: _Task) -> bool:
        """Wait for a photo. The limit counts from when its reading starts."""
        while not task.done.wait(
            0.05 if task.started is None else max(0.0, task.started + self._time_limit_s - _now())
        ):
            if task.started is not None and _now() >= task.started + self._time_limit_s:
                return task.done.is_set()
        return True

    def _work(self, tasks: SimpleQueue[_Task | None], rows: ParquetRows | None) -> None:
        while (task := tasks.get()) is not None:
            task.started = _now()
            read = task.read
            try:
                data = self._fetch(read, rows)
                read.encoded_bytes = len(data)
                read.image = decode_image(data, read.photo.id, self._max_pixels)
                task.pixels = read.image.shape[0] * read.image.shape[1]
            except Exception as error:  # file systems of all kinds, and the photo must not stop the others
                read.error = reason(error, read.photo)
            read.read_ms = 1000 * (_now() - task.started)
            task.done.set()
            if task.abandoned:
                return

    def _fetch(self, read: ReadPhoto, rows: ParquetRows | None) -> bytes:
        most = _MOST_BYTES_A_PIXEL * self._max_pixels + _HEADERS
        read.boxes = read.photo.boxes
        if rows is None:
            return read_bytes(read.photo.path, read.photo.place, most)
        with self._lock:
            found, boxes = rows.image(read.photo), rows.boxes(read.photo)
        read.boxes = read.boxes if boxes is None else boxes
        return read_bytes(found, (), most) if isinstance(found, str) else found


def reason(error: Exception, photo: Photo) -> str:
    """Why a photo failed, without its name, which stands beside it."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.removeprefix(f"{photo.id}: ").removeprefix(f"{photo.path}: ")


def _now() -> float:
    return time.monotonic()


@dataclass
class _Task:
    read: ReadPhoto
    started: float | None = None
    pixels: int = 0
    abandoned: bool = False
    done: threading.Event = field(default_factory=threading.Event)
