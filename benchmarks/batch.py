"""A batch of many photos that is killed again and again: photos per second, memory, and what the kills cost.

    python benchmarks/batch.py PHOTOS WORK --photos 1000 --kills 3 --workers 1

PHOTOS is a folder (photos to any depth, or tars). Its photos are scaled and turned until there are enough; the copies
go to WORK/photos and are kept for the next run. The batch then runs twice: once in peace, and once with ``kill -9`` of
the main process, or of one of its workers, at random times. Both results must be the same, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jvcr.batch.reading import Reader
from jvcr.batch.source import list_photos
from jvcr.images import Image, write_image

_SHARES = (0.6, 0.8, 1.0, 1.25)
_PER_FOLDER = 1000


def make_photos(source: str, folder: Path, count: int, seed: int) -> float:
    """Write ``count`` photos, scaled and turned. Returns their mean megapixels."""
    listing = list_photos(source)
    photos = list(enumerate(listing.photos))
    pixels, done = 0, 0
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    while done < count:
        for read in Reader(listing.source, 170_000_000, 60).read(photos):
            target = folder / f"{done // _PER_FOLDER:05d}" / f"{done:08d}.jpg"
            scale, angle_deg = rng.choice(_SHARES), rng.uniform(-30, 30)
            if read.image is None:
                continue
            image = turned(read.image, scale, angle_deg)
            pixels += image.shape[0] * image.shape[1]
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                write_image(target, image)
            done += 1
            if done == count:
                break
    return pixels / count / 1e6


def turned(image: Image, scale: float, angle_deg: float) -> Image:
    """The photo scaled, and turned about its middle."""
    height, width = image.shape[:2]
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), angle_deg, 1.0)
    return np.asarray(cv2.warpAffine(small, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def command(work: Path, out: Path, options: argparse.Namespace) -> list[str]:
    """The command line of a run."""
    return [
        *(sys.executable, "-m", "jvcr.cli.app", "batch", str(work / "photos"), str(out)),
        *("--shard", str(options.shard), "--workers", str(options.workers), *options.arguments),
    ]


def family(pid: int) -> list[int]:
    """A process and those below it (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def is_worker(pid: int) -> bool:
    """Whether a process computes shards. Another one only cleans up after the others."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def memory_mb(pids: list[int]) -> Iterator[float]:
    """Peak memory of each process so far."""
    for pid in pids:
        try:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    yield int(line.split()[1]) / 1024
        except OSError:
            continue


def run(arguments: list[str]) -> tuple[float, float]:
    """Run to the end: seconds, and the peak of the largest process in MB."""
    started, peak = time.monotonic(), 0.0
    process = subprocess.Popen(arguments)
    while process.poll() is None:
        peak = max([peak, *memory_mb(family(process.pid))])
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    return time.monotonic() - started, peak


def run_with_kills(arguments: list[str], out: Path, kills: int, between_s: float, seed: int) -> dict[str, Any]:
    """Run to the end, with kills at random times."""
    rng = random.Random(seed)
    started, whole, workers, again = time.monotonic(), 0, 0, 0
    before: dict[str, int] = {}
    process = subprocess.Popen(arguments)
    while process.poll() is None and whole + workers < kills:
        try:
            process.wait(rng.uniform(0.5, 1.5) * between_s)
            break
        except subprocess.TimeoutExpired:
            pass
        members = [process.pid, *(pid for pid in family(process.pid)[1:] if is_worker(pid))]
        # In turn.
        if whole <= workers or len(members) < 2:
            process.send_signal(signal.SIGKILL)
            process.wait()
            whole += 1
            process = subprocess.Popen(arguments)
        else:
            try:
                os.kill(rng.choice(members[1:]), signal.SIGKILL)
                workers += 1
            except ProcessLookupError:
                pass
        now = {mark.name: mark.stat().st_mtime_ns for mark in (out / "done").glob("*.json")}
        again += sum(now.get(name) != changed for name, changed in before.items())
        before = now
    if process.wait():
        raise SystemExit(f"the run that was killed ended with exit code {process.returncode}")
    return {
        "seconds": time.monotonic() - started,
        "kills of the run": whole,
        "kills of a worker": workers,
        "shards that were done and computed again": again,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("work", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--shard", type=int, default=50)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--between", type=float, default=0.0, help="mean seconds between kills; 0: from the first run")
    parser.add_argument("--seed", type=int, default=0)
    options, options.arguments = parser.parse_known_args()
    megapixels = make_photos(options.source, options.work / "photos", options.photos, options.seed)
    peace, killed = options.work / "peace", options.work / "killed"
    for folder in (peace, killed):
        shutil.rmtree(folder, ignore_errors=True)
    seconds, peak = run(command(options.work, peace, options))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    between = options.between or seconds / (options.kills + 1)
    result = run_with_kills(command(options.work, killed, options), killed, options.kills, between, options.seed)
    same = all(
        path.read_bytes() == (killed / folder / path.name).read_bytes()
        for folder in ("faces", "photos", "done", "plan")
        for path in (peace / folder).iterdir()
    )
    marks = [json.loads(mark.read_text()) for mark in (peace / "done").iterdir()]
    report = {
        "photos": options.photos,
        "megapixels, mean": round(megapixels, 3),
        "faces": sum(mark["faces"] for mark in marks),
        "errors": sum(mark["errors"] for mark in marks),
        "workers": options.workers or "one per core",
        "seconds": round(seconds, 1),
        "photos/s": round(options.photos / seconds, 2),
        "peak of the largest process, MB": round(peak),
        "processor time, s": round(used.ru_utime + used.ru_stime, 1),
        "bytes per photo in faces/ and photos/": round(
            sum(path.stat().st_size for name in ("faces", "photos") for path in (peace / name).iterdir())
            / options.photos
        ),
        "with kills": {name: round(value, 1) for name, value in result.items()}
        | {"photos/s": round(options.photos / result["seconds"], 2), "same bytes": same},
    }
    print(json.dumps(report, indent=1))
    if not same:
        raise SystemExit("the results of the two runs differ")


if __name__ == "__main__":
    main()
