"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jvcr.detect.named import DetectorName, named_detector
from jvcr.landmarker import Landmarker
from jvcr.runtime.backends import Backend
from jvcr.weights import DETECTORS, SEPARATE, SHIPPED

WeightsOption = Annotated[str, typer.Option(help="Name of shipped weights, or a file of `jvcr export`.")]
DetectorOption = Annotated[
    DetectorName,
    typer.Option(
        "--detector",
        help="Face detector: own (the package's network), or whole-image (for images that are face crops).",
    ),
]
DetectSizeOption = Annotated[
    int,
    typer.Option(
        min=64,
        help="Longer side of the photo for face detection, pixels. A larger value finds smaller faces and is slower.",
    ),
]
MinScoreOption = Annotated[float, typer.Option(help="Drop detected faces with a lower score.")]
RefineOption = Annotated[
    bool,
    typer.Option(
        "--refine/--no-refine",
        help="Refinement: where the first crop was off, run a second pass on an upright, centred one.",
    ),
]
MirrorOption = Annotated[
    bool,
    typer.Option(
        "--mirror/--no-mirror",
        help="Flip averaging: average with the mirrored crop, where it pays. Less error for up to twice the time.",
    ),
]
BackendOption = Annotated[Backend, typer.Option(help="Runtime of the landmark network (docs/performance.md).")]
DeviceOption = Annotated[
    str, typer.Option(help="Device: cpu; cuda, coreml, directml (onnxruntime); gpu, npu (openvino); cuda, mps (torch).")
]
PrecisionOption = Annotated[str, typer.Option(help="Precision of the arithmetic: fp32; bf16, fp16 (openvino, torch).")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="CPU threads, at most one per core; 0 uses all cores.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing results; each is kept until its replacement is complete.")
]


def chosen_landmarker(
    weights: str, detector: DetectorName, detect_size: int, threads: int, **settings: Any
) -> Landmarker:
    """The landmarker that these options ask for; ``settings`` are ``Landmarker``'s."""
    finder = named_detector(detector, detect_size, threads)
    return Landmarker(weights, detector=finder, threads=threads, **settings)


def weights_file(weights: str) -> Path | None:
    """The file that ``--weights`` names; None for shipped weights. A run must not overwrite it."""
    return None if weights in (*SHIPPED, *SEPARATE, *DETECTORS) else Path(weights)
