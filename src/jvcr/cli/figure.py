"""``jvcr figure``: the paper's figures, from your photos."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import cv2
import typer

from jvcr.cli.console import fail, log
from jvcr.cli.predict import GivenBoxes, find_photos
from jvcr.extras import missing
from jvcr.frames import Box, Crop
from jvcr.images import Image, extract, read_image
from jvcr.landmarker import Landmarker, check_boxes, weights_path
from jvcr.paper_figures import FIGURES, Example, check_ending, import_figure, save
from jvcr.runtime.base import Runtime
from jvcr.runtime.onnx import OnnxRuntime

_CROP_PX = 480


class Number(StrEnum):
    """Which figure of the paper."""

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
            help="Photos, folders of photos, or globs; the best face of each. None: the astronaut photograph (extra: demo).",
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
        typer.Option(help="Landmark boxes, as for `jvcr predict`: one face a box, no face where there is none."),
    ] = None,
) -> None:
    """Remake figure 2, 4 or 5 of the paper from photos, with the network's own volumes."""
    out = out or Path(f"figure_{number}.png")
    check_ending(out)
    import_figure()
    given = GivenBoxes.read(boxes) if boxes else None
    paths, failures = find_photos(photos or [])
    if out.resolve() in {path.resolve() for path in paths}:
        raise ValueError(f"{out} is itself one of the photos; choose another --out")
    runtime = _runtime(weights, all_volumes=number is Number.PIPELINE)
    finder = None if given else Landmarker("small" if weights.endswith(".safetensors") else weights)
    examples: list[Example] = []
    if not photos:
        name, image = "astronaut", _astronaut()
        examples += _examples(name, image, runtime, _boxes(name, image, finder, given))
    for path in paths:
        try:
            image = read_image(path)
            examples += _examples(str(path), image, runtime, _boxes(str(path), image, finder, given))
        except (ValueError, OSError, RuntimeError, cv2.error) as error:
            failures += 1
            fail(str(error) if str(path) in str(error) else f"{path}: {error}")
    for name in given.unused() if given else ():
        failures += 1
        fail(f"{boxes}: {name} is none of the photos")
    if examples:
        save(FIGURES[number](examples), out)
        typer.echo(f"{out}: figure {number}, {len(examples)} face{'' if len(examples) == 1 else 's'}")
    if failures:
        log.print(f"{failures} failed", highlight=False)
        raise typer.Exit(1)


def _runtime(weights: str, all_volumes: bool) -> Runtime:
    """The network; of a kind that can tell all its volumes where that is asked for.

    Raises:
        MissingExtra: that needs PyTorch.
        ValueError: an ONNX file, which holds the last volume only, without its weights beside it.
    """
    path = weights_path(weights)
    if all_volumes and path.suffix != ".safetensors":
        onnx, path = path, path.with_suffix(".safetensors")
        if not path.is_file():
            raise ValueError(
                f"{onnx} gives the last volume only; figure 2 shows those before it too and needs the weights it was exported "
                f"from: give their .safetensors file as --weights, or put it beside as {path.name}"
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


def _astronaut() -> Image:
    try:
        from skimage.data import astronaut
    except ModuleNotFoundError as error:
        raise missing("demo", error) from error
    photo: Image = astronaut()
    return photo


def _boxes(name: str, image: Image, finder: Landmarker | None, given: GivenBoxes | None) -> list[Box]:
    """The given boxes of a photo, or that of its best face."""
    if given is not None:
        found = check_boxes(given.of(Path(name)), image)
        reason = "has no landmark box in the --boxes file"
    else:
        found = [face.box for face in finder.predict(image)[:1]] if finder else []
        reason = "no face found; give its landmark box with --boxes"
    if not found:
        raise ValueError(f"{name}: {reason}")
    return found


def _examples(name: str, image: Image, runtime: Runtime, boxes: list[Box]) -> list[Example]:
    examples = []
    for box in boxes:
        crops = extract(image, Crop.from_box(box, runtime.image_size))[None]
        volume, points_unit = runtime(crops)
        stages = getattr(runtime, "stages", None)
        volumes = tuple(v[0] for v in stages(crops)) if stages else (volume[0],)
        shown = extract(image, Crop.from_box(box, _CROP_PX))
        examples.append(Example(name, shown, points_unit[0], volumes, runtime.markup, runtime.image_size))
    return examples
