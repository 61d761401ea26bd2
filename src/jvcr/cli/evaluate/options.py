"""Options that several benchmarks share, and their conversion to arguments of the library."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    PrecisionOption,
    ThreadsOption,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.extras import missing
from jvcr.runtime.backends import Backend

if TYPE_CHECKING:
    from jvcr.evaluate.predictions import PredictionSet

__all__ = ["DETECT_SIZE", "DetectSizeOption", "DetectorName", "DetectorOption"]
"""Imported here for the sub-commands, which take all of their options from this module."""


class Boxes(StrEnum):
    """Where the faces of our networks come from."""

    true = "true"
    detector = "detector"
    both = "both"


class PixelBase(StrEnum):
    """What the 1-based labels of AFLW2000-3D are taken for."""

    respected = "respected"
    as_published = "as-published"


WeightsOption = Annotated[
    list[str] | None,
    typer.Option(help="Name of shipped weights, or an ONNX file; may be repeated.", show_default="small"),
]
WeightsUnlessPredictions = Annotated[
    list[str] | None,
    typer.Option(help="Name of shipped weights, or an ONNX file; may be repeated. Without --predictions: small."),
]
PredictionsOption = Annotated[
    list[Path] | None,
    typer.Option(help="Score landmarks of any aligner: .npz or .jsonl (docs/predictions.md); may be repeated."),
]
SavePredictionsOption = Annotated[
    Path | None,
    typer.Option(help="Write jvcr's landmarks: .npz or .jsonl; those from detected boxes to NAME-detector."),
]
OutOption = Annotated[Path | None, typer.Option(help="Folder for the report.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
BoxesOption = Annotated[
    Boxes, typer.Option(help="Use ground-truth boxes (true), detected boxes (detector), or evaluate both.")
]
MirrorOption = Annotated[
    bool, typer.Option("--mirror/--no-mirror", help="Average with the mirrored crop, as `jvcr predict` does.")
]
RefineOption = Annotated[
    bool,
    typer.Option(
        "--refine/--no-refine", help="With ground-truth boxes, add a second pass on an upright, centred crop."
    ),
]
WithoutOption = Annotated[Path | None, typer.Option(help="Exclude the images that this file names, one per line.")]
PixelBaseOption = Annotated[
    PixelBase, typer.Option(help="as-published: read the 1-based labels as 0-based, as most benchmark code does.")
]
LimitOption = Annotated[
    float, typer.Option(min=0.1, help="NME above which a face is a failure, and where CED and AUC end; percent.")
]
DrawsOption = Annotated[int, typer.Option(min=100, help="Number of bootstrap samples.")]
WorstOption = Annotated[int, typer.Option(min=0, help="Faces to draw in the report.")]


_EXECUTION_OPTIONS: dict[str, tuple[Any, object]] = {
    "threads": (ThreadsOption, 0),
    "backend": (BackendOption, Backend.ONNXRUNTIME),
    "device": (DeviceOption, "cpu"),
    "precision": (PrecisionOption, "fp32"),
}
"""By name: type and default of the options that make an ``Execution``."""


def with_execution(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's last parameter, ``execution``, by --threads, --backend, --device and --precision."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        from jvcr.evaluate.systems import Execution

        execution = Execution(**{name: options.pop(name) for name in _EXECUTION_OPTIONS})
        command(**options, execution=execution)

    signature = inspect.signature(command)
    # ``Execution`` is only imported when a benchmark runs.
    types = get_type_hints(command, localns={"Execution": object}, include_extras=True)
    parameters = [p.replace(annotation=types[p.name]) for p in signature.parameters.values() if p.name != "execution"]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _EXECUTION_OPTIONS.items()
    ]
    # Typer reads the options from these two.
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def need_scipy() -> None:
    """Fail here rather than after a minute of predicting.

    Raises:
        MissingExtra: SciPy is not installed.
    """
    try:
        import scipy  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing("train", error) from error


def names_to_leave_out(path: Path | None) -> frozenset[str]:
    """The names in the file of ``--without``; none without a file. Errors as ``read_names``."""
    from jvcr.evaluate.benchmark import read_names

    return frozenset() if path is None else read_names(path)


def saver(
    path: Path | None, boxes: Boxes, weights: list[str] | None, predictions: list[Path] | None
) -> Callable[[PredictionSet], None] | None:
    """What writes the predictions of our one network to the file of ``--save-predictions``; None without it.

    Raises:
        ValueError: another ending; or not one network.
    """
    if path is None:
        return None
    from jvcr.evaluate.predictions import write_predictions
    from jvcr.evaluate.systems import DETECTED_BOXES

    if path.suffix not in (".npz", ".jsonl"):
        raise ValueError(f"--save-predictions {path}: expected an ending .npz or .jsonl")
    count = len(set(weights or ([] if predictions else ["small"])))
    if count != 1:
        raise ValueError(f"--save-predictions takes one --weights, not {count}")

    def save(found: PredictionSet) -> None:
        target = path
        if boxes is Boxes.both and found.about["boxes"] == DETECTED_BOXES:
            target = path.with_name(f"{path.stem}-detector{path.suffix}")
        write_predictions(target, found)

    return save
