"""``jvcr figure``: the paper's figures, from your photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from jvcr.cli.console import fail, log
from jvcr.cli.demo import astronaut
from jvcr.cli.options import weights_file
from jvcr.extras import import_figure, missing
from jvcr.files import read_text
from jvcr.frames import Box, Crop, Points, crop_to_unit
from jvcr.images import Image, extract, read_image
from jvcr.io.boxes import GivenBoxes
from jvcr.io.inputs import check_boxes
from jvcr.io.outputs import check_outputs
from jvcr.io.photos import find_photos
from jvcr.landmarker import Landmarker
from jvcr.paper.figures import FIGURES, Example, check_ending, save
from jvcr.runtime.base import Runtime
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

_CROP_PX = 480


class Number(StrEnum):
    """Number of the figure in the paper."""

    PIPELINE = "2"
    VOLUME = "4"
    RESULTS = "5"


def figure(
    number: Annotated[
        Number,
        typer.Argument(help="2: the pipeline with its volumes. 4: the compact volume. 5: photo, volume and 3D shape."),
    ],
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PHOTO…]",
            help="Photos, folders of photos, or globs; each shows its best face. Default: the astronaut (extra: demo).",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, .png, .pdf or .svg; figure_NUMBER.png by default.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Name of shipped weights, an ONNX file, or a .safetensors file. Figure 2 needs the latter and PyTorch "
            "(extra: train); it is taken from beside an ONNX file."
        ),
    ] = "small",
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Landmark boxes, as for `jvcr predict`: one face per box; photos without a box show no face."
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="Ground-truth landmarks instead of boxes, in the format of `jvcr predict --json`. Figure 4 draws "
            "their volume beside the predicted one."
        ),
    ] = None,
) -> None:
    """Remake figure 2, 4 or 5 of the paper from photos, with the network's own volumes."""
    out = out or Path(f"figure_{number}.png")
    check_ending(out)
    import_figure()
    if boxes and landmarks:
        raise ValueError("--boxes and --landmarks are both given; landmarks bring their own boxes")
    paths, problems = find_photos(photos or [])
    check_outputs({"--out": out}, [*paths, boxes, landmarks, weights_file(weights)])
    labels = _read_landmarks(landmarks) if landmarks else {}
    given = GivenBoxes.read(boxes) if boxes else None
    if landmarks:
        given = GivenBoxes({name: [Box.around(p).to_list() for p in rows] for name, rows in labels.items()})
    for problem in problems:
        fail(problem)
    failures = len(problems)
    runtime = _runtime(weights, all_volumes=number is Number.PIPELINE)
    finder = None if given else Landmarker("small" if weights.endswith(".safetensors") else weights)
    examples: list[Example] = []
    work = [(path, read_image) for path in paths] if photos else [(Path("astronaut"), lambda _: astronaut())]
    for path, read in work:
        try:
            image = read(path)
            faces = _boxes(path, image, finder, given)
            true = labels.get(path.as_posix(), labels.get(path.name, []))
            examples += _examples(str(path), image, runtime, faces, true)
        except (ValueError, OSError, RuntimeError, cv2.error) as error:
            failures += 1
            fail(str(error) if str(path) in str(error) else f"{path}: {error}")
    for name in given.unused() if given else ():
        failures += 1
        fail(f"{boxes or landmarks}: {name} is none of the photos")
    if examples:
        save(FIGURES[number](examples), out)
        typer.echo(f"{out}: figure {number}, {len(examples)} face{'' if len(examples) == 1 else 's'}")
    if failures:
        log.print(f"{failures} failed", highlight=False)
        raise typer.Exit(1)


def _runtime(weights: str, all_volumes: bool) -> Runtime:
    """The network; for figure 2, one that exposes all its volumes.

    Raises:
        MissingExtra: figure 2 needs PyTorch.
        ValueError: an ONNX file, which has only the last volume, without its .safetensors file beside it.
    """
    path = weights_path(weights)
    if all_volumes and path.suffix != ".safetensors":
        onnx, path = path, path.with_suffix(".safetensors")
        if not path.is_file():
            raise ValueError(
                f"{onnx} gives the last volume only, and figure 2 shows those before it too; as --weights, give the "
                f".safetensors file that it was exported from, or put that beside it, as {path.name}"
            )
    if path.suffix != ".safetensors":
        return OnnxRuntime(path)
    try:
        from jvcr.model.checkpoint import load_weights
        from jvcr.runtime.pytorch import TorchRuntime
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    model, header = load_weights(path)
    return TorchRuntime(model, header.markup)


def _read_landmarks(path: Path) -> dict[str, list[Points]]:
    """(N, 3) landmarks of each photo's faces, image pixels, from JSON lines as `jvcr predict --json` writes them.

    Raises:
        ValueError: the file is missing or malformed; the message names the line.
    """
    labels: dict[str, list[Points]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            record = json.loads(line)
            faces = [np.array(face["landmarks"], np.float64) for face in record["faces"]]
            if any(points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all() for points in faces):
                raise ValueError("landmarks are not (N, 3) finite numbers")
            labels[Path(record["image"]).as_posix()] = faces
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            expected = (
                'expected {"image": …, "faces": [{"landmarks": [[x, y, z], …]}]}, as `jvcr predict --json` writes'
            )
            raise ValueError(f"{path}: line {number}: {error}; {expected}") from None
    return labels


def _boxes(path: Path, image: Image, finder: Landmarker | None, given: GivenBoxes | None) -> list[Box]:
    """The given boxes of a photo, or the box of its best face."""
    if finder is not None:
        found = [face.box for face in finder.predict(image)[:1]]
        reason = "no face found; give its landmark box with --boxes"
    else:
        found = check_boxes(given.of(path) if given else (), image)
        reason = "no face is given for it"
    if not found:
        raise ValueError(f"{path}: {reason}")
    return found


def _examples(
    name: str, image: Image, runtime: Runtime, boxes: Sequence[Box], true_img: Sequence[Points]
) -> list[Example]:
    """One a box; the k-th label, where there are any, belongs to the k-th box."""
    examples = []
    for box, true in zip_longest(boxes, true_img):
        crop = Crop.from_box(box, runtime.image_size, rule=runtime.crop_rule)
        crops = extract(image, crop)[None]
        prediction = runtime(crops)
        points_unit = prediction.points_unit[0]
        stages = getattr(runtime, "stages", None)
        volumes = tuple(v[0] for v in stages(crops)) if stages else (prediction.volume[0],)
        true_unit = None
        if true is not None:
            if true.shape != points_unit.shape:
                raise ValueError(f"{name}: its true landmarks have shape {true.shape}; expected {points_unit.shape}")
            true_unit = crop_to_unit(crop.to_crop(true), crop.size_px)
        shown = extract(image, Crop.from_box(box, _CROP_PX, rule=runtime.crop_rule))
        markup, size = runtime.markup, runtime.image_size
        examples.append(Example(name, shown, points_unit, volumes, markup, size, true_unit))
    return examples
