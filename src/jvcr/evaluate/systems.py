"""The systems that a benchmark scores: our networks, or predictions read from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import jvcr
from jvcr.data.derive import boxed_samples
from jvcr.data.sample import Sample
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import DETECT_SIZE
from jvcr.evaluate.benchmark import Progress, counted, no_progress, today
from jvcr.evaluate.predictions import PredictionSet, read_predictions
from jvcr.evaluate.run_network import predict_detected, predict_samples
from jvcr.landmarker import Landmarker
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.base import Runtime
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.weights import weights_path

Weights = str | Path | Sequence[str | Path] | Mapping[str, Runtime]
"""One or several names of shipped weights or paths; or loaded networks, by display name."""

KeepPredictions = Callable[[PredictionSet], object]
"""Receives the predictions of each network when they are complete; ``about["boxes"]`` names the box source."""

TRUE_BOXES, DETECTED_BOXES = "true boxes", "the detector's boxes"
BOX_SOURCES = ("true", "detector", "both")


@dataclass(frozen=True, eq=False)
class System:
    """One aligner's landmarks for all images of a benchmark.

    Attributes:
        name: for tables, e.g. "jvcr small".
        boxes: source of its face boxes, for tables.
        points_img: (B, N, 2 or 3); a row of NaN is a missed face.
        note: remarks for the report.
        markup: names the landmarks.
    """

    name: str
    boxes: str
    points_img: NDArray[np.floating]
    note: str = ""
    markup: Markup = field(default=MARKUP_68, repr=False)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(B,) False for a missed face."""
        return np.asarray(np.isfinite(self.points_img).all(axis=(1, 2)))

    @property
    def has_depth(self) -> bool:
        """Whether the landmarks have a z."""
        return self.points_img.shape[2] == 3


@dataclass(frozen=True)
class Execution:
    """Runtime and device of the landmark networks: see ``jvcr.runtime.backends.open_backend``."""

    backend: str = Backend.ONNXRUNTIME
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0

    def open(self, weights: str | Path) -> Runtime:
        """Load a network. Errors as ``open_backend``."""
        return open_backend(weights, self.backend, device=self.device, precision=self.precision, threads=self.threads)


DEFAULT_EXECUTION = Execution()


@dataclass(frozen=True)
class Looks:
    """Boxes and forward passes of a network.

    Attributes:
        boxes: source of the face boxes: ``"true"`` landmark boxes, the ``"detector"``, or ``"both"`` in turn.
        mirror: flip averaging (average with the mirrored crop).
        refine: refinement (a second pass on an upright, centred crop) for true boxes. Detected boxes always use it.
        detector, detect_size: name of the detector, and the longer side of its input, pixels.
        threads: CPU threads of the detector; 0 uses all cores.

    Raises:
        ValueError: ``boxes`` or ``detector`` is unknown.
    """

    boxes: str = "both"
    mirror: bool = True
    refine: bool = False
    detector: str = DetectorName.OWN
    detect_size: int = DETECT_SIZE
    threads: int = 0

    def __post_init__(self) -> None:
        if self.boxes not in BOX_SOURCES:
            raise ValueError(f"boxes {self.boxes!r} are unknown; expected one of {', '.join(BOX_SOURCES)}")
        if self.detector not in list(DetectorName):
            raise ValueError(f"detector {self.detector!r} is unknown; expected one of {', '.join(DetectorName)}")

    def last(self, network: Runtime) -> Runtime:
        """The network of the last pass, with flip averaging if requested."""
        return MirrorAveraged(network) if self.mirror else network

    def first(self, network: Runtime) -> Runtime | None:
        """The network of the first pass from a true box; None without refinement."""
        return network if self.refine else None


def chosen_weights(weights: Weights | None, predictions: Sequence[str | Path] = ()) -> Weights:
    """The given weights; ``small`` if there are neither weights nor predictions."""
    if weights is None:
        return () if predictions else ("small",)
    return weights


def check_weights(weights: Weights, execution: Execution) -> None:
    """Fail early for weights that cannot be opened.

    Raises:
        ValueError: an unknown name; or a training checkpoint with a backend other than PyTorch.
        FileNotFoundError: weights that are distributed separately are not installed.
    """
    if isinstance(weights, Mapping) or execution.backend == Backend.TORCH:
        return
    for one in _listed(weights):
        if Path(one).suffix == ".safetensors":
            raise ValueError(f"{one}: these are training weights; run `jvcr export` first, or choose the backend torch")
        weights_path(one)


def open_networks(weights: Weights, execution: Execution, accepted: Sequence[int] = ()) -> dict[str, Runtime]:
    """Open all networks before any prediction; name → network.

    Args:
        accepted: numbers of landmarks that the benchmark supports; () supports all.
    Raises:
        ValueError: unsupported number of landmarks; and as ``check_weights``.
    """
    check_weights(weights, execution)
    networks: dict[str, Runtime] = {}
    if isinstance(weights, Mapping):
        networks.update(weights)
    else:
        for one in dict.fromkeys(_listed(weights)):
            networks[_free(_short_name(one), networks)] = execution.open(one)
    for name, network in networks.items():
        _check_count(f"weights {name}: {network.markup.n_points} landmarks", network.markup, accepted)
    return networks


def network_systems(
    networks: Mapping[str, Runtime],
    samples: Callable[[], Iterable[Sample]],
    count: int,
    looks: Looks,
    progress: Progress = no_progress,
    keep: KeepPredictions | None = None,
) -> Iterator[System]:
    """Predict with our networks in true boxes, detected boxes, or both.

    Args:
        samples: returns the ``count`` labelled faces; called once per network and box source.
        keep: see ``KeepPredictions``.
    """
    for name, network in networks.items():
        title = f"jvcr {name}"
        boxed = partial(boxed_samples, markup=network.markup)
        if looks.boxes != "detector":
            seen = counted(boxed(samples()), f"{title}, true boxes", count, progress)
            yield _in_true_boxes(title, network, seen, looks, keep)
        if looks.boxes != "true":
            seen = counted(boxed(samples()), f"{title}, its detector's boxes", count, progress)
            yield _where_detected(title, network, seen, looks, keep)


@dataclass(frozen=True)
class Contestants:
    """The networks and prediction files that a benchmark compares.

    Attributes:
        weights: networks; None means ``small``, or none if there are predictions.
        predictions: files with landmarks of any aligner (docs/predictions.md).
        looks: boxes and passes of the networks.
        execution: runtime of the networks.

    Raises:
        ValueError, FileNotFoundError: as ``check_weights``.
    """

    weights: Weights | None
    predictions: Sequence[str | Path]
    looks: Looks
    execution: Execution

    def __post_init__(self) -> None:
        check_weights(chosen_weights(self.weights, self.predictions), self.execution)

    def systems(
        self,
        names: list[str],
        samples: Callable[[], Iterable[Sample]],
        progress: Progress = no_progress,
        keep: KeepPredictions | None = None,
        *,
        accepted: Sequence[int] = (),
        check: Callable[[Sequence[Markup]], object] = lambda _: None,
    ) -> list[System]:
        """The landmarks of all networks, then of all files, with distinct names.

        Args:
            names: the benchmark's images, in order.
            samples: returns the labelled faces of those images; called once per network and box source.
            keep: see ``KeepPredictions``.
            accepted: numbers of landmarks that the benchmark supports; () supports all.
            check: called with all markups before the first prediction; raises if they cannot be compared.
        Raises:
            FileNotFoundError, ValueError: as ``file_systems`` and ``open_networks``.
        """
        given = file_systems(self.predictions, names, accepted)
        networks = open_networks(chosen_weights(self.weights, self.predictions), self.execution, accepted)
        check([*(network.markup for network in networks.values()), *(system.markup for system in given)])
        own = network_systems(networks, samples, len(names), self.looks, progress, keep)
        return named_apart([*own, *given])


def _in_true_boxes(
    title: str, network: Runtime, samples: Iterable[Sample], looks: Looks, keep: KeepPredictions | None
) -> System:
    predicted = predict_samples(looks.last(network), samples, rough=looks.first(network))
    if keep is not None:
        about = _about(title, TRUE_BOXES)
        keep(PredictionSet(predicted.names, predicted.points_img, predicted.boxes, network.markup, about))
    return System(title, TRUE_BOXES, predicted.points_img, markup=network.markup)


def _where_detected(
    title: str, network: Runtime, samples: Iterable[Sample], looks: Looks, keep: KeepPredictions | None
) -> System:
    detector = named_detector(DetectorName(looks.detector), looks.detect_size, looks.threads)
    found = predict_detected(Landmarker(backend=network, detector=detector, mirror=looks.mirror), samples)
    if keep is not None:
        about = _about(title, DETECTED_BOXES)
        keep(PredictionSet(found.names, found.points_img, found.boxes, network.markup, about))
    doubtful = int(((found.overlaps > 0) & (found.overlaps < 0.5)).sum())
    note = (
        f"the detected face with the highest IoU with the true box is scored; for {doubtful} faces that IoU is below "
        f"0.5; {found.extra} other detected faces were ignored."
    )
    return System(title, DETECTED_BOXES, found.points_img, note, network.markup)


def _about(title: str, boxes: str) -> dict[str, str]:
    return {"tool": title, "version": jvcr.__version__, "date": today(), "boxes": boxes}


def file_systems(paths: Iterable[str | Path], names: list[str], accepted: Sequence[int] = ()) -> list[System]:
    """The landmarks in files of any aligner (docs/predictions.md).

    Args:
        names: of the benchmark's images, in order.
        accepted: numbers of landmarks that the benchmark supports; () supports all.
    Raises:
        FileNotFoundError, ValueError: as ``read_predictions``; unsupported number of landmarks; or the file has none of
            the images. The message names the file.
    """
    systems = []
    for path in map(Path, paths):
        predictions = read_predictions(path)
        _check_count(f"{path}: {predictions.markup.n_points} landmarks per face", predictions.markup, accepted)
        try:
            points = predictions.of(names)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        about = predictions.about
        tool = " ".join(str(about[key]) for key in ("tool", "version") if about.get(key)) or path.stem
        unknown = len(set(predictions.ids) - set(names))
        absent = len(set(names) - set(predictions.ids))
        notes = [f"from {path.name}"]
        notes += [f"{absent} images are not in the file and count as missed"] if absent else []
        notes += [f"{unknown} of its ids match no image"] if unknown else []
        notes += [] if predictions.has_depth else ["no depth"]
        boxes = str(about.get("boxes", "boxes not stated"))
        systems.append(System(tool, boxes, points, "; ".join(notes) + ".", predictions.markup))
    return systems


def named_apart(systems: Iterable[System]) -> list[System]:
    """The systems, with a number added to repeated names (of the same box source)."""
    out: list[System] = []
    for system in systems:
        taken = {other.name for other in out if other.boxes == system.boxes}
        out.append(replace(system, name=_free(system.name, taken)))
    return out


def _listed(weights: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    return (weights,) if isinstance(weights, str | Path) else weights


def _free(name: str, taken: Iterable[str]) -> str:
    names, number = set(taken), 2
    out = name
    while out in names:
        out, number = f"{name} ({number})", number + 1
    return out


def _short_name(weights: str | Path) -> str:
    path = Path(weights)
    return path.stem if path.suffix else str(weights)


def _check_count(what: str, markup: Markup, accepted: Sequence[int]) -> None:
    if accepted and markup.n_points not in accepted:
        raise ValueError(f"{what}; this benchmark takes {' or '.join(map(str, accepted))}")
