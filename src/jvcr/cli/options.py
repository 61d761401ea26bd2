"""Options that several commands have."""

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
        help="What finds the faces: own, the package's network; or whole-image, for images that are face crops.",
    ),
]
DetectSizeOption = Annotated[
    int,
    typer.Option(min=64, help="Longer side of the photo in the search; larger finds smaller faces, and is slower."),
]
MirrorOption = Annotated[
    bool,
    typer.Option("--mirror/--no-mirror", help="Average with the mirrored crop: less error, twice the network's time."),
]
BackendOption = Annotated[Backend, typer.Option(help="What runs the landmark network (docs/performance.md).")]
DeviceOption = Annotated[
    str, typer.Option(help="Where: cpu; cuda, coreml, directml (onnxruntime), gpu, npu (openvino), cuda, mps (torch).")
]
PrecisionOption = Annotated[str, typer.Option(help="Arithmetic: fp32; bf16, fp16 (openvino, torch).")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="CPU threads, at most one a core; 0 takes all cores.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already; each stays until its own is ready.")
]


def chosen_landmarker(
    weights: str, detector: DetectorName, detect_size: int, threads: int, **settings: Any
) -> Landmarker:
    """The landmarker that these options ask for; ``settings`` are ``Landmarker``'s."""
    finder = named_detector(detector, detect_size, threads)
    return Landmarker(weights, detector=finder, threads=threads, **settings)


def weights_file(weights: str) -> Path | None:
    """The file that ``--weights`` names; None for a name of shipped weights. A run must not write over it."""
    return None if weights in (*SHIPPED, *SEPARATE, *DETECTORS) else Path(weights)
