"""Times on this machine, as Markdown: ``python benchmarks/speed.py``. Run it while nothing else runs.

The median of repeated runs. The photo is scikit-image's astronaut; the rasteriser's row needs the ``train`` extra.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.detect.network import NetworkDetector


def median_ms(call: Callable[[], object], repeats: int = 30) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times))


def fresh_process_ms(code: str) -> float:
    return median_ms(lambda: subprocess.run([sys.executable, "-c", code], check=True), 7)


def rasteriser_rows() -> list[tuple[str, float]]:
    import torch

    from jvcr.train.targets import rasterise

    torch.set_num_threads(1)
    points = torch.rand(32, 68, 3, generator=torch.Generator().manual_seed(0))
    return [
        (f"true volumes of 32 faces, {d} × {s} × {s}, 1 thread", median_ms(partial(rasterise, points, (d, s, s))))
        for d, s in ((32, 32), (4, 32), (64, 64))
    ]


def main() -> None:
    photo, box = astronaut(), [179, 87, 269, 178]
    cv2.setNumThreads(1)
    one, both = Landmarker(threads=1), Landmarker(threads=2)
    single = Landmarker(threads=1, refine=False, mirror=False)
    try:
        large = Landmarker("large", threads=1)
    except FileNotFoundError:
        large = None
    nothing = fresh_process_ms("pass")
    rows = [
        ("`import jvcr` in a fresh process, over an empty one", fresh_process_ms("import jvcr") - nothing),
        (
            "`from jvcr import Landmarker; Landmarker()`, likewise",
            fresh_process_ms("from jvcr import Landmarker; Landmarker()") - nothing,
        ),
        ("one face in a given box, 1 thread", median_ms(lambda: one.predict(photo, [box]))),
        ("one face in a given box, 2 threads", median_ms(lambda: both.predict(photo, [box]))),
        ("the same with one look, 1 thread", median_ms(lambda: single.predict(photo, [box]))),
        ("64 faces in given boxes, each, 1 thread", median_ms(lambda: one.predict(photo, [box] * 64), 7) / 64),
        ("512 × 512 photo, its face found, 1 thread", median_ms(lambda: one.predict(photo), 10)),
    ]
    wide = cv2.copyMakeBorder(cv2.resize(photo, (720, 720)), 0, 0, 280, 280, cv2.BORDER_REFLECT_101)
    for name, picture in (("512 × 512", photo), ("1280 × 720", wide)):
        for size in (320, 640, 1280):
            detector = NetworkDetector(size=size, threads=1)
            what = f"finding faces in a {name} photo, searched at {size} px, 1 thread"
            rows.append((what, median_ms(partial(detector, picture), 10)))
    picture = np.zeros((1, 320, 320, 3), np.uint8)
    rows.append(("the detector's network, 320 × 320 px, 1 thread", median_ms(partial(detector.cells, picture))))
    if large is not None:
        rows.append(("one face in a given box, `large`, 1 thread", median_ms(lambda: large.predict(photo, [box]))))
    if importlib.util.find_spec("torch"):
        rows += rasteriser_rows()
    machine = platform.processor() or platform.machine()
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, Python {platform.python_version()}\n")
    print("| what | ms |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value:.1f} |")


if __name__ == "__main__":
    main()
