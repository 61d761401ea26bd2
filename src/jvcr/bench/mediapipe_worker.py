"""Times MediaPipe Face Mesh (attention mesh). Runs in an environment that has mediapipe, and need not have jvcr.

    python mediapipe_worker.py PHOTO.jpg FRAMES.npy

Reads lines ``photo COUNT`` or ``follow COUNT`` and answers each with one line of JSON: the wall and CPU times of COUNT
calls, in milliseconds. The first line that it writes is its version.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def timed(call: Callable[[int], object], count: int) -> dict[str, list[float]]:
    """Wall and CPU time of each of ``count`` calls, ms."""
    wall, cpu = [], []
    for number in range(count):
        started, busy = time.perf_counter(), time.process_time()
        call(number)
        wall.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - busy))
    return {"wall_ms": wall, "cpu_ms": cpu}


def main() -> None:
    """Answer the lines of standard input."""
    import cv2
    import mediapipe
    import numpy as np
    from mediapipe.python.solutions.face_mesh import FaceMesh

    cv2.setNumThreads(1)
    photo, frames = sys.argv[1], np.load(sys.argv[2], mmap_mode="r")
    still = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
    moving = FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)

    def of_photo(number: int) -> None:
        image = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
        assert still.process(image).multi_face_landmarks, "no face was found in the photo"

    def of_frame(number: int) -> None:
        frame = np.ascontiguousarray(frames[number % len(frames)])
        assert moving.process(frame).multi_face_landmarks, "no face was found in a frame"

    calls = {"photo": of_photo, "follow": of_frame}
    print(json.dumps({"name": f"MediaPipe {mediapipe.__version__}, attention mesh"}), flush=True)
    for line in sys.stdin:
        what, count = line.split()
        print(json.dumps(timed(calls[what], int(count))), flush=True)


if __name__ == "__main__":
    main()
