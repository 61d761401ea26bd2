"""Face detection: precision, recall and false positives of a detector, alone and with landmark networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import jvcr
from jvcr.data.face_photos import LABELS_FILE, FacePhoto, Half, half_of, read_face_photos
from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.detect.base import Detector, as_proposal
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import DETECT_SIZE, LIKELY_SCORE, NetworkDetector
from jvcr.evaluate.benchmark import BenchmarkReport, Progress, no_progress, today, without_nan
from jvcr.evaluate.detect_scores import (
    Evaluated,
    Finder,
    detection_table,
    evaluate_detection,
    plots,
    worst_sheet,
)
from jvcr.evaluate.systems import DEFAULT_EXECUTION, Execution, Looks, Weights, chosen_weights, open_networks
from jvcr.images import Image
from jvcr.landmarker import MIN_SCORE, Landmarker
from jvcr.report import Table
from jvcr.runtime.base import Runtime

_HARDLY_BELIEVED = 0.02
"""Lowest score of the precision–recall curves."""


@dataclass(frozen=True, eq=False)
class DetectReport(BenchmarkReport):
    """Results of the detector alone, and with each landmark network."""

    results: list[Evaluated]
    detect_size: int
    left_out: int
    half: Half | None
    date: str

    def tables(self) -> list[Table]:
        """One table: the detector alone and with each landmark network, side by side."""
        return [detection_table([result.scores for result in self.results])]

    def figures(self) -> dict[str, Any]:
        """A matplotlib figure per finder: precision–recall curve, and reliability diagram of the score.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        return {result.scores.name: plots(result.scores) for result in self.results}

    def worst_sheets(self, count: int) -> Mapping[str, Image]:
        """A sheet per finder: up to ``count`` photographs with missed faces or false positives. Finders without errors
        have no sheet."""
        sheets = {result.scores.name: worst_sheet(result, count) if count else None for result in self.results}
        return {name: sheet for name, sheet in sheets.items() if sheet is not None}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Shares are ratios; NaN (an empty group) becomes None."""
        record = {
            "benchmark": "detect",
            "version": jvcr.__version__,
            "date": self.date,
            "options": {"detect_size": self.detect_size, "left_out": self.left_out, "half": self.half},
            "finders": [result.scores.to_dict() for result in self.results],
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    detector: str = DetectorName.OWN,
    detect_size: int = DETECT_SIZE,
    without: Collection[str] = (),
    half: Half | None = None,
    execution: Execution = DEFAULT_EXECUTION,
    progress: Progress = no_progress,
) -> DetectReport:
    """Score a detector alone, and with each landmark network.

    Args:
        root: a folder with ``detect_labels.npz`` (its test split is scored), or AFLW2000-3D (it labels one face per
            photo, so no detection counts as a false positive).
        weights: landmark networks; ``small`` by default.
        detector: name of the detector.
        detect_size: longer side of the detector's input, pixels.
        without: names of images to exclude.
        half: use only one half of the photographs (``jvcr.data.face_photos.Half``).
        execution: runtime of the landmark networks; its threads also apply to the detector.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, or the detector is unknown.
    """
    root = Path(root)
    looks = Looks(detector=detector, detect_size=detect_size, threads=execution.threads)
    networks = open_networks(chosen_weights(weights), execution)
    photos, complete = _photos(root, without, half)
    finders = _finders(looks, {f"with {name}": network for name, network in networks.items()})
    results = [
        evaluate_detection(name, find, photos, threshold, complete, progress=progress)
        for name, (find, threshold) in finders.items()
    ]
    return DetectReport(results, detect_size, len(without), half, today())


def _photos(root: Path, without: Collection[str], half: Half | None) -> tuple[list[FacePhoto], bool]:
    """The photographs, and whether all of their faces are labelled."""
    complete = (root / LABELS_FILE).is_file()
    photos = read_face_photos(root, "test") if complete else _one_face_each(root)
    absent = set(without) - {photo.name for photo in photos}
    if absent:
        raise ValueError(
            f"{root}: {len(absent)} of the {len(without)} images to exclude are not in it, e.g. {min(absent)}"
        )
    left = [p for p in photos if p.name not in without and half in (None, half_of(p.name))]
    if not left:
        raise ValueError(f"{root}: no photograph is left to score")
    return left, complete


def _one_face_each(root: Path) -> list[FacePhoto]:
    return [
        FacePhoto(s.name, s.image, np.array([s.box.to_list()]), np.array([True]), np.array([s.yaw_deg]))
        for s in read_aflw2000(root)
    ]


def _finders(looks: Looks, networks: Mapping[str, Runtime]) -> dict[str, tuple[Finder, float]]:
    """By name: detector function and its default threshold."""
    name = DetectorName(looks.detector)
    detector = named_detector(name, looks.detect_size, looks.threads)
    all_boxes: Detector = detector
    if name is DetectorName.OWN:
        all_boxes = NetworkDetector(size=looks.detect_size, min_score=_HARDLY_BELIEVED, threads=looks.threads)
    finders = {f"detector {name}": (_alone(all_boxes), LIKELY_SCORE)}
    for title, network in networks.items():
        landmarker = Landmarker(backend=network, detector=detector, min_score=_HARDLY_BELIEVED)
        finders[title] = (_whole(landmarker), MIN_SCORE)
    return finders


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
