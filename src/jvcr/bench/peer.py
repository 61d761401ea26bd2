"""Side by side with MediaPipe, in one run on one core: a photo from file to landmarks, and following a face."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jvcr.bench.mediapipe_worker import timed
from jvcr.bench.run import Work, jpeg_of, moving_frames
from jvcr.images import Image, read_image
from jvcr.landmarker import Landmarker
from jvcr.report import Table
from jvcr.video.track import Tracker

ROUNDS, PHOTOS, FRAMES = 12, 4, 30
"""Both tools take turns: in each round, so many photos, then so many frames."""

_TASKS = {
    "photo": "1280 × 720 JPEG, one face, from file to landmarks",
    "follow": "following one face, 1280 × 720, per frame without decoding",
}
_COUNTS = {"photo": PHOTOS, "follow": FRAMES}


@dataclass(frozen=True)
class Race:
    """One task: medians of both tools, ms."""

    task: str
    ours: str
    wall_ms: float
    cpu_ms: float
    peer: str
    peer_wall_ms: float
    peer_cpu_ms: float

    @property
    def ratio(self) -> float:
        """Our wall time over the peer's."""
        return self.wall_ms / self.peer_wall_ms


def race(photo: Image, python: Path, weights: str = "small", rounds: int = ROUNDS) -> list[Race]:
    """Time both tools in turns, on one core where the system allows it.

    Args:
        photo: (H, W, 3) uint8 RGB with one face; scaled to 1280 × 720 for both.
        python: interpreter of an environment with mediapipe.
    Raises:
        ValueError: no face or several in the photo; the interpreter is missing, has no mediapipe, or its run failed.
    """
    found = Landmarker(weights, threads=1).predict(photo)
    if len(found) != 1:
        raise ValueError(f"{len(found)} faces were detected in the photo; expected exactly one")
    with tempfile.TemporaryDirectory() as folder, _one_core():
        file, clip = Path(folder) / "photo.jpg", Path(folder) / "frames.npy"
        file.write_bytes(jpeg_of(photo))
        work = Work("video", photo, found[0].box, weights, {"threads": 1, "faces": 1})
        frames = np.stack([frame for _, frame in zip(range(FRAMES), moving_frames(work), strict=False)])
        np.save(clip, frames)
        calls = _our_calls(file, frames, weights)
        with _Peer(python, file, clip) as peer:
            times: dict[tuple[str, str], list[float]] = {}
            for number in range(rounds + 1):
                for task, count in _COUNTS.items():
                    for who, result in (("ours", timed(calls[task], count)), ("peer", peer.timed(task, count))):
                        # The first round warms up.
                        for kind, values in result.items() if number else ():
                            times.setdefault((f"{who} {task}", kind), []).extend(values)
            return [_result(task, times, weights, peer.name) for task in _TASKS]


def race_table(races: list[Race]) -> Table:
    """Medians, and the ratio of wall times."""
    rows = []
    for one in races:
        times = (one.wall_ms, one.cpu_ms, one.peer_wall_ms, one.peer_cpu_ms, one.ratio)
        rows.append((one.task, one.ours, *(f"{value:.2f}" for value in times)))
    header = ("task", "weights", "ms", "CPU ms", "peer: ms", "peer: CPU ms", "ratio of ms")
    return Table(f"jvcr against {races[0].peer}, medians, one core, alternating", header, tuple(rows))


def race_dict(races: list[Race]) -> list[dict[str, Any]]:
    """JSON-able."""
    return [asdict(one) | {"ratio": one.ratio} for one in races]


def _our_calls(file: Path, frames: Image, weights: str) -> dict[str, Callable[[int], object]]:
    cv2.setNumThreads(1)
    still, moving = Landmarker(weights, threads=1), Landmarker(weights, threads=1, mirror=False)
    tracker = Tracker(moving)
    shown = [0]

    def of_photo(number: int) -> None:
        assert still.predict(read_image(file))

    def of_frame(number: int) -> None:
        frame = np.ascontiguousarray(frames[number % len(frames)])
        assert len(tracker(frame, shown[0] / 30)) == 1
        shown[0] += 1

    return {"photo": of_photo, "follow": of_frame}


def _result(task: str, times: dict[tuple[str, str], list[float]], weights: str, peer: str) -> Race:
    def median(who: str, kind: str) -> float:
        return float(np.median(times[f"{who} {task}", kind]))

    return Race(
        _TASKS[task],
        weights,
        median("ours", "wall_ms"),
        median("ours", "cpu_ms"),
        peer,
        median("peer", "wall_ms"),
        median("peer", "cpu_ms"),
    )


@contextmanager
def _one_core() -> Iterator[None]:
    """This process, and those that it starts, on one core: the last that it may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Peer:
    """The worker process of the peer."""

    def __init__(self, python: Path, file: Path, clip: Path) -> None:
        if shutil.which(str(python)) is None:
            raise ValueError(f"{python}: no such Python interpreter; expected one that has mediapipe 0.10.21")
        worker = Path(__file__).with_name("mediapipe_worker.py")
        # Its warnings go to a file: a full pipe would stop it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            [str(python), str(worker), str(file), str(clip)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # MediaPipe's own threads stay on the core; BLAS needs none.
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self._python = python
        self.name = ""

    def __enter__(self) -> _Peer:
        try:
            self.name = str(self._answer()["name"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def timed(self, task: str, count: int) -> dict[str, list[float]]:
        """As ``mediapipe_worker.timed``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{task} {count}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # The answer below says why it ended.
        return {kind: [float(value) for value in values] for kind, values in self._answer().items()}

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().decode("utf-8", "replace").strip().splitlines() or ["no message"]
            raise ValueError(f"{self._python}: MediaPipe cannot be timed with it: {last[-1]}")
        return dict(json.loads(line))
