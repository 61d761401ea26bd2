"""Robustness to box errors and image degradation: landmark errors under perturbed boxes and degraded photos."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.data.derive import boxed_samples
from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.data.sample import Sample
from jvcr.data.table import Table as TrainingTable
from jvcr.evaluate.benchmark import BenchmarkReport, Progress, no_progress, without_nan
from jvcr.evaluate.systems import DEFAULT_EXECUTION, Execution, Looks, Weights, chosen_weights, open_networks
from jvcr.frames import Box, Crop
from jvcr.images import Image
from jvcr.locate import LocatedFace, locate_many, trust_of
from jvcr.metrics import YawTable, failure_rate, ground_truth_error, normalised_mean_error, yaw_table
from jvcr.report import Table, percent
from jvcr.runtime.base import Runtime

_BATCH = 32


class _Case(NamedTuple):
    """A perturbed sample: its image, the given box, and the rotation of the photo."""

    image: Image
    box: Box
    roll_deg: float = 0.0


_Change = Callable[[Sample, Generator], _Case]


def _boxed(shift: float, scale: float) -> _Change:
    """Move the box in a random direction by ``shift`` of its size, and enlarge or shrink it by ``scale``."""

    def change(sample: Sample, rng: Generator) -> _Case:
        box, angle = sample.box, rng.uniform(0, 2 * math.pi)
        factor = 1 + scale * rng.choice([-1, 1])
        x = box.centre[0] + shift * box.width * math.cos(angle)
        y = box.centre[1] + shift * box.height * math.sin(angle)
        half_width, half_height = factor * box.width / 2, factor * box.height / 2
        return _Case(sample.image, Box(x - half_width, y - half_height, x + half_width, y + half_height))

    return change


def _rolled(degrees: float) -> _Change:
    return lambda sample, rng: _Case(sample.image, sample.box, degrees * rng.choice([-1, 1]))


def _pixels(change: Callable[[Image, Box, Generator], NDArray[Any]]) -> _Change:
    def changed(sample: Sample, rng: Generator) -> _Case:
        image = change(sample.image, sample.box, rng)
        return _Case(np.asarray(image.round().clip(0, 255), np.uint8), sample.box)

    return changed


def _blurred(share: float) -> Callable[[Image, Box, Generator], NDArray[Any]]:
    return lambda image, box, rng: np.asarray(cv2.GaussianBlur(image, (0, 0), share * max(box.width, box.height)))


def _dark(share: float) -> Callable[[Image, Box, Generator], NDArray[Any]]:
    return lambda image, box, rng: image * share + rng.normal(0, 3, image.shape)


def _reduced(box_px: int) -> Callable[[Image, Box, Generator], NDArray[Any]]:
    """Shrink the image until the box's longer side has ``box_px`` pixels, and enlarge it again."""

    def change(image: Image, box: Box, rng: Generator) -> NDArray[Any]:
        height, width = image.shape[:2]
        factor = min(1.0, box_px / max(box.width, box.height))
        size = max(1, round(factor * width)), max(1, round(factor * height))
        return np.asarray(cv2.resize(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (width, height)))

    return change


def _covered(share: float) -> Callable[[Image, Box, Generator], NDArray[Any]]:
    """Cover ``share`` of the box's area with a grey rectangle at a random place inside."""

    def change(image: Image, box: Box, rng: Generator) -> NDArray[Any]:
        width, height = math.sqrt(share) * box.width, math.sqrt(share) * box.height
        x, y = box.x0 + rng.random() * (box.width - width), box.y0 + rng.random() * (box.height - height)
        covered = image.copy()
        rows, columns = (slice(max(0, round(a)), max(0, round(a + b))) for a, b in ((y, height), (x, width)))
        covered[rows, columns] = 128
        return covered

    return change


def _compressed(image: Image, box: Box, rng: Generator) -> NDArray[Any]:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _grey(image: Image, box: Box, rng: Generator) -> NDArray[Any]:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


REFERENCE = "as it is"

CONDITIONS: dict[str, _Change] = {
    REFERENCE: lambda sample, rng: _Case(sample.image, sample.box),
    "box shifted by 5 %": _boxed(0.05, 0),
    "box shifted by 10 %": _boxed(0.10, 0),
    "box shifted by 15 %": _boxed(0.15, 0),
    "box ±15 % in size": _boxed(0, 0.15),
    "box shifted by 15 %, ±15 % in size": _boxed(0.15, 0.15),
    "box shifted by 25 %, ±25 % in size": _boxed(0.25, 0.25),
    "turned by ±15°": _rolled(15),
    "turned by ±30°": _rolled(30),
    "turned by ±45°": _rolled(45),
    "turned by ±60°": _rolled(60),
    "turned by ±90°": _rolled(90),
    "upside down": _rolled(180),
    "blurred, σ 2 % of the box": _pixels(_blurred(0.02)),
    "blurred, σ 4 % of the box": _pixels(_blurred(0.04)),
    "a quarter of the light": _pixels(_dark(0.25)),
    "a tenth of the light": _pixels(_dark(0.1)),
    "a quarter of the box covered": _pixels(_covered(0.25)),
    "40 % of the box covered": _pixels(_covered(0.4)),
    "JPEG quality 10": _pixels(_compressed),
    "grey": _pixels(_grey),
    "box of 32 px": _pixels(_reduced(32)),
    "box of 20 px": _pixels(_reduced(20)),
}
"""Name → perturbation of a sample. Shifts are in box sizes. Darkened images get sensor noise (σ = 3 of 255)."""


def case_of(condition: str, sample: Sample, seed: int = 0) -> _Case:
    """The perturbed sample. It depends only on condition, seed and the sample's name."""
    return CONDITIONS[condition](sample, np.random.default_rng((seed, zlib.crc32(sample.name.encode()))))


@dataclass(frozen=True)
class RobustnessRow:
    """Errors under one condition, as ratios.

    Attributes:
        nme: by yaw bin.
        gte: None without depth.
        failures: share of faces with an NME at or over the limit.
        within_sigma: share of the errors of x and y within σ of their landmark (normal errors: 0.683); None if the
            weights cannot tell σ.
    """

    condition: str
    nme: YawTable
    gte: float | None
    failures: float
    within_sigma: float | None = None


@dataclass(frozen=True, eq=False)
class RobustnessReport(BenchmarkReport):
    """Rows by network name, one per condition.

    Attributes:
        samples: name of the data, for display. faces: their number.
        look: refinement and flip averaging of the networks, for display.
        limit: NME at or above which a face counts as a failure.
    """

    samples: str
    faces: int
    look: str
    limit: float
    networks: Mapping[str, list[RobustnessRow]]

    def tables(self) -> list[Table]:
        """One table per network."""
        return [
            robustness_table(rows, f"jvcr {name}, {self.samples}, {self.look}: NME by yaw and GTE, percent", self.limit)
            for name, rows in self.networks.items()
        ]

    def to_text(self) -> str:
        """For a terminal."""
        return "\n".join(table.to_text() for table in self.tables())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (an empty bin) becomes None."""
        record = {
            "benchmark": "robustness",
            "samples": self.samples,
            "faces": self.faces,
            "systems": {
                name: {"look": self.look, "rows": [asdict(row) for row in rows]} for name, rows in self.networks.items()
            },
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    mirror: bool = True,
    refine: bool = True,
    execution: Execution = DEFAULT_EXECUTION,
    limit: float = 0.10,
    seed: int = 0,
    progress: Progress = no_progress,
) -> RobustnessReport:
    """Score networks under every condition of ``CONDITIONS``.

    Args:
        root: folder of AFLW2000-3D, or of a training table, whose validation rows are used.
        weights: networks to score; ``small`` by default.
        mirror: flip averaging (average with the mirrored crop).
        refine: refinement (a second pass on an upright, centred crop).
        execution: runtime of the networks.
        limit: NME at or above which a face counts as a failure, a ratio.
        seed: of shifts, rotations and noise.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged.
    """
    root, looks = Path(root), Looks("true", mirror, refine)
    networks = open_networks(chosen_weights(weights), execution)
    if (root / "labels.npz").is_file():
        table = TrainingTable(root, "val")
        title, samples = "validation rows", [table[row] for row in range(len(table))]
    else:
        title, samples = "AFLW2000-3D", list(read_aflw2000(root))
    rows = {}
    for name, network in networks.items():
        own = list(boxed_samples(samples, network.markup))
        rows[name] = errors_by_condition(
            looks.last(network),
            own,
            looks.first(network),
            seed=seed,
            limit=limit,
            stage=f"jvcr {name}",
            progress=progress,
        )
    look = f"{'refinement' if refine else 'single pass'}{', flip averaging' if mirror else ''}"
    return RobustnessReport(title, len(samples), look, limit, rows)


def errors_by_condition(
    runtime: Runtime,
    samples: Sequence[Sample],
    rough: Runtime | None = None,
    conditions: Sequence[str] = tuple(CONDITIONS),
    seed: int = 0,
    limit: float = 0.10,
    stage: str = "",
    progress: Progress = no_progress,
) -> list[RobustnessRow]:
    """One row per condition. Predictions are compared in the frame of the original photo.

    Args:
        samples: labelled faces; their images and true boxes are perturbed.
        rough: network of the first pass. ``runtime`` then refines on an upright crop centred on the first landmarks.
        limit: NME at or above which a face counts as a failure.
        stage, progress: ``progress`` is called with ``stage`` after each face (``jvcr.evaluate.benchmark.Progress``).
    Raises:
        ValueError: a condition is unknown, or there is no sample.
    """
    unknown = [name for name in conditions if name not in CONDITIONS]
    if unknown:
        raise ValueError(f"condition {unknown[0]!r} is unknown; expected some of: {'; '.join(CONDITIONS)}")
    if not samples:
        raise ValueError("there is no sample to evaluate")
    target = np.stack([sample.points_img for sample in samples])
    yaw_deg = np.array([sample.yaw_deg for sample in samples])
    total = len(conditions) * len(samples)
    progress(stage, 0, total)

    def crops(number: int, condition: str) -> Iterator[tuple[Image, Crop]]:
        size_px, rule = runtime.image_size, runtime.crop_rule
        for done, sample in enumerate(samples, number * len(samples) + 1):
            case = case_of(condition, sample, seed)
            if case.roll_deg:
                # Equivalent to rotating the photo and taking its upright box.
                yield case.image, Crop.around(sample.points_img, size_px, case.roll_deg, rule)
            else:
                yield case.image, Crop.from_box(case.box, size_px, rule=rule)
            progress(stage, done, total)

    rows = []
    for number, condition in enumerate(conditions):
        points, inside = [], []
        # One at a time: a located face keeps its volume.
        for face, sample in zip(locate_many(runtime, crops(number, condition), _BATCH, rough), samples, strict=True):
            points.append(face.points_img)
            inside.append(_within_sigma(runtime, face, sample))
        predicted = np.stack(points)
        nme = normalised_mean_error(predicted, target)
        gte = ground_truth_error(predicted, target, samples[0].markup.normaliser) if samples[0].has_depth else None
        rows.append(
            RobustnessRow(
                condition,
                yaw_table(nme, yaw_deg),
                None if gte is None else float(gte.mean()),
                failure_rate(nme, limit),
                _mean_of(inside),
            )
        )
    return rows


def _within_sigma(runtime: Runtime, face: LocatedFace, sample: Sample) -> float | None:
    """Share of the errors of x and y within σ; None if the weights cannot tell σ."""
    _, sigma_px = trust_of(runtime, face, sample.image)
    if sigma_px is None:
        return None
    errors = np.abs(face.points_img - sample.points_img)[:, :2]
    return float((errors < sigma_px[:, None]).mean())


def _mean_of(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if known else None


def robustness_table(rows: Sequence[RobustnessRow], title: str, limit: float = 0.10) -> Table:
    """A table in percent, with the error increase relative to the first row. ``limit``: that of the failure rate."""
    body = []
    for row in rows:
        more = row.nme.mean / rows[0].nme.mean - 1
        body.append(
            (
                row.condition,
                *(percent(value) for value in (*row.nme.bins, row.nme.mean)),
                "–" if row is rows[0] else f"{100 * more:+.1f} %",
                "–" if row.gte is None else percent(row.gte),
                f"{100 * row.failures:.1f}",
                "–" if row.within_sigma is None else f"{100 * row.within_sigma:.1f}",
            )
        )
    return Table(
        title,
        (
            "",
            "[0, 30]",
            "(30, 60]",
            "over 60",
            "mean",
            "error increase",
            "GTE",
            f"over {100 * limit:g} %",
            "within σ",
        ),
        tuple(body),
    )
