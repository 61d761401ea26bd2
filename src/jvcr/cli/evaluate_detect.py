"""``jvcr evaluate detect``: how many faces are found, and what is taken for one."""

from __future__ import annotations

import datetime
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import Progress

import jvcr
from jvcr.cli.console import log
from jvcr.detect.base import Detector, as_proposal
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import DETECT_SIZE, LIKELY_SCORE, NetworkDetector
from jvcr.images import Image, write_image
from jvcr.landmarker import MIN_SCORE, Landmarker
from jvcr.runtime.base import Runtime

if TYPE_CHECKING:
    from jvcr.evaluate.detect_report import Finder

_HARDLY_BELIEVED = 0.02
"""Boxes and faces down to this score are counted, for the precision–recall curves."""


def evaluate_detect(
    root: Path,
    detector: DetectorName,
    runtimes: dict[str, Runtime],
    detect_size: int | None,
    threads: int,
    worst: int,
    out: Path | None,
) -> dict[str, object]:
    """Score a detector alone, and with each landmark network; returns the record that is written.

    Args:
        root: a folder with ``detect_labels.npz`` (its test split is looked at), or AFLW2000-3D (one face a photo is
            known).
        runtimes: landmark networks, by name.
        worst: photos to draw into ``worst.png``.
        out: folder for the report; None for the table alone.
    """
    from jvcr.data.face_photos import LABELS_FILE, FacePhoto, read_face_photos
    from jvcr.data.formats.aflw2000 import read_aflw2000
    from jvcr.evaluate.detect_report import ROLLS_DEG, detection_table, evaluate_detection, plots, worst_sheet
    from jvcr.evaluate.evaluation import without_nan

    complete = (root / LABELS_FILE).is_file()
    if complete:
        photos = read_face_photos(root, "test")
    else:
        photos = [
            FacePhoto(s.name, s.image, np.array([s.box.to_list()]), np.array([True]), np.array([s.yaw_deg]))
            for s in read_aflw2000(root)
        ]
    size = detect_size or DETECT_SIZE
    finder = named_detector(detector, size, threads)
    all_boxes: Detector = finder
    if detector is DetectorName.OWN:
        all_boxes = NetworkDetector(size=size, min_score=_HARDLY_BELIEVED, threads=threads)
    finders = {f"detector {detector}": (_alone(all_boxes), LIKELY_SCORE)}
    for name, runtime in runtimes.items():
        landmarker = Landmarker(backend=runtime, detector=finder, min_score=_HARDLY_BELIEVED)
        finders[f"with {name}"] = (_whole(landmarker), MIN_SCORE)
    results = []
    with Progress(console=log, transient=True) as progress:
        looks = len(photos) + sum(bool(p.sure.any()) for p in photos) * sum(1 if d == 180 else 2 for d in ROLLS_DEG)
        for name, (find, threshold) in finders.items():
            task = progress.add_task(name, total=looks)
            advance = partial(progress.advance, task)
            results.append(evaluate_detection(name, find, photos, threshold, complete, progress=advance))
    table = detection_table([result.scores for result in results])
    typer.echo(table.to_text())
    record = without_nan(
        {
            "benchmark": "detect",
            "version": jvcr.__version__,
            "date": datetime.date.today().isoformat(),
            "options": {"detect_size": size},
            "finders": [result.scores.to_dict() for result in results],
        }
    )
    if out is not None:
        (out / "report.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (out / "report.md").write_text(table.to_markdown() + "\n", encoding="utf-8")
        written = ["report.json", "report.md"]
        for result in results:
            name = result.scores.name.replace(" ", "_")
            plots(result.scores).savefig(out / f"{name}.png", dpi=110)
            written.append(f"{name}.png")
            sheet = worst_sheet(result, worst) if worst else None
            if sheet is not None:
                write_image(out / f"{name}_worst.png", sheet)
                written.append(f"{name}_worst.png")
        for name in written:
            typer.echo(f"→ {out / name}")
    return record


def _alone(detector: Detector) -> Finder:
    def find(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        proposals = [as_proposal(found) for found in detector(image)]
        boxes = np.array([p.box.to_list() for p in proposals], np.float64).reshape(-1, 4)
        return boxes, np.array([1.0 if p.score is None else p.score for p in proposals])

    return find


def _whole(landmarker: Landmarker) -> Finder:
    def find(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        faces = landmarker.predict(image)
        boxes = np.array([face.box.to_list() for face in faces], np.float64).reshape(-1, 4)
        return boxes, np.array([face.score for face in faces])

    return find
