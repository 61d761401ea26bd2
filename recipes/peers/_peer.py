"""Code shared by the recipes: read photos and boxes, choose one face per photo, write a predictions file.

Runs in the aligner's own environment, without jvcr. Needs only NumPy and OpenCV.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

Find = Callable[[NDArray[np.uint8], "NDArray[np.float64] | None"], list[NDArray[np.float64]]]
"""An aligner: (H, W, 3) uint8 RGB and a box or None → the landmarks of every face, each (68, 3) in pixels of that
image, 0-based, integer = pixel centre, x right, y down, z away from the camera."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

MIN_OVERLAP = 0.1
"""Minimum IoU between a face's landmark box and the wanted box; below it, the face is another one."""

MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""For each of the 68 landmarks, its index in the mirror image."""


def fail(message: str) -> NoReturn:
    raise SystemExit(f"error: {message}")


def arguments(description: str) -> argparse.ArgumentParser:
    """An argument parser with the options that all recipes share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos; a photo's id is its file name without extension")
    parser.add_argument("out", type=Path, help="predictions file to write (.npz)")
    parser.add_argument(
        "--boxes",
        choices=("none", "roi"),
        default="none",
        help="none: the tool's own detector searches the whole photo; roi: the tool gets the box of --box-file",
    )
    parser.add_argument(
        "--box-file",
        type=Path,
        help="NPZ with id (B,) and box (B, 4): tight landmark boxes, 0-based pixels (true_boxes.py writes it). It also "
        "selects the photos, and the face that counts among several; default: the one nearest to the photo's centre",
    )
    parser.add_argument("--mirrored", action="store_true", help="run on the mirror images and mirror the results back")
    return parser


def read_boxes(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read a box file: photo id → (4,) x0, y0, x1, y1."""
    if not path.is_file():
        fail(f"{path}: no such file; expected an NPZ with id and box (see true_boxes.py)")
    with np.load(path) as file:
        if not {"id", "box"} <= set(file.files):
            fail(f"{path}: holds {sorted(file.files)}; expected id (B,) and box (B, 4)")
        names, boxes = file["id"].tolist(), file["box"].astype(np.float64)
    if boxes.shape != (len(names), 4) or not (boxes[:, 2:] > boxes[:, :2]).all():
        fail(f"{path}: expected {len(names)} boxes x0, y0, x1, y1 with x1 > x0 and y1 > y0")
    return dict(zip(names, boxes, strict=True))


def list_photos(folder: Path, names: list[str] | None) -> dict[str, Path]:
    """Photo id → file, sorted, for the given names or for every photo in the folder."""
    found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in ENDINGS}
    if not found:
        fail(f"{folder}: no photo; expected files that end in {', '.join(ENDINGS)}")
    if names is None:
        return found
    missing = [name for name in names if name not in found]
    if missing:
        fail(f"{folder}: {len(missing)} of {len(names)} photos are missing, e.g. {missing[0]}")
    return {name: found[name] for name in sorted(names)}


def landmark_box(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Tight box (4,) of landmarks (N, ≥2)."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def choose(
    faces: list[NDArray[np.float64]], wanted: NDArray[np.float64] | None, width: int, height: int
) -> NDArray[np.float64] | None:
    """Choose the face with the highest IoU with the wanted box; without a box, the most central one.

    Args:
        faces: landmarks (N, ≥2) of each face found.
        wanted: (4,) the true landmark box, or None. A face needs an IoU of at least ``MIN_OVERLAP`` with it.
        width, height: of the photo.
    Returns:
        One of ``faces``, or None.
    """
    if not faces:
        return None
    boxes = [landmark_box(face) for face in faces]
    if wanted is None:
        centre = np.array([width - 1, height - 1]) / 2
        return faces[int(np.argmin([np.linalg.norm((box[:2] + box[2:]) / 2 - centre) for box in boxes]))]
    overlaps = [overlap(box, wanted) for box in boxes]
    best = int(np.argmax(overlaps))
    return faces[best] if overlaps[best] >= MIN_OVERLAP else None


def through_mirror(find: Find) -> Find:
    """Run an aligner on mirror images and mirror its landmarks back: pixel x of a photo W wide becomes W − 1 − x."""

    def mirrored(image: NDArray[np.uint8], box: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
        last = image.shape[1] - 1
        if box is not None:
            box = np.array([last - box[2], box[1], last - box[0], box[3]])
        faces = find(np.ascontiguousarray(image[:, ::-1]), box)
        return [np.concatenate([last - face[:, :1], face[:, 1:]], axis=1)[list(MIRROR)] for face in faces]

    return mirrored


def write_predictions(
    path: Path,
    landmarks: dict[str, NDArray[np.float64] | None],
    about: dict[str, Any],
    boxes: dict[str, NDArray[np.float64]] | None = None,
) -> None:
    """Write the NPZ that docs/predictions.md describes; None is a missed face, a row of NaN."""
    shape = next((points.shape for points in landmarks.values() if points is not None), (68, 3))
    rows = [np.full(shape, np.nan) if points is None else points for points in landmarks.values()]
    arrays = {
        "id": np.array(list(landmarks), dtype=np.str_),
        "landmarks": np.array(rows, dtype=np.float32).reshape(-1, *shape),
        "markup": np.array("ibug-68"),
        "about": np.array(json.dumps(about, ensure_ascii=False)),
    }
    if boxes is not None:
        arrays["box"] = np.array([boxes[name] for name in landmarks], dtype=np.float32).reshape(-1, 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def run(find: Find, options: argparse.Namespace, about: dict[str, Any]) -> None:
    """Run an aligner on all photos and write its predictions; after a failure, write OUT.partial.npz."""
    if options.mirrored:
        find, about = through_mirror(find), about | {"tool": f"{about['tool']}, mirrored"}
    given = read_boxes(options.box_file) if options.box_file else None
    if options.boxes == "roi" and given is None:
        fail("--boxes roi needs --box-file")
    photos = list_photos(options.photos, list(given) if given else None)
    done: dict[str, NDArray[np.float64] | None] = {}
    seconds: list[tuple[float, float]] = []
    elsewhere = 0

    def write(path: Path) -> None:
        missed = sum(points is None for points in done.values())
        wall, processor = np.median(seconds, axis=0).round(5).tolist() if seconds else (None, None)
        rule = "nearest to the photo's centre"
        if given:
            rule = f"highest IoU of its landmark box with the true one, at least {MIN_OVERLAP}"
        facts = {"boxes": "true boxes" if options.boxes == "roi" else "its own detector"} | about
        facts |= {
            "of_several": rule,
            "photos": len(done),
            "missed": missed,
            "missed_but_found_elsewhere": elsewhere,
            "seconds_per_photo": wall,
            "processor_seconds_per_photo": processor,
            "date": datetime.date.today().isoformat(),
        }
        write_predictions(path, done, facts, given if options.boxes == "roi" else None)
        print(f"{path}: {len(done)} photos, {missed} faces missed ({elsewhere} of them found elsewhere only)")

    for name, path in photos.items():
        try:
            image = cv2.imread(str(path))
            if image is None:
                raise ValueError("not an image that OpenCV reads")
            box = given[name] if given else None
            start = time.perf_counter(), time.process_time()
            faces = find(np.ascontiguousarray(image[:, :, ::-1]), box if options.boxes == "roi" else None)
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        except (Exception, KeyboardInterrupt) as error:
            write(options.out.with_suffix(".partial.npz"))
            fail(f"{path}: {type(error).__name__}: {error}; the results so far are in the file named above")
        done[name] = choose(faces, box, image.shape[1], image.shape[0])
        elsewhere += bool(faces) and done[name] is None
        if len(done) % 100 == 0:
            print(f"{len(done)} of {len(photos)}", file=sys.stderr)
    write(options.out)
    wall, processor = 1000 * np.median(seconds, axis=0)
    print(
        f"median {wall:.1f} ms per photo, {processor:.1f} ms of CPU time, for the whole call without reading the file"
    )
