"""``jvcr demo``: the main job on a photograph that everybody has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.predict import Outputs, summary
from jvcr.extras import missing
from jvcr.images import Image
from jvcr.io.records import photo_record
from jvcr.landmarker import Landmarker


def astronaut() -> Image:
    """The photograph, (512, 512, 3) uint8 RGB. Raises MissingExtra without scikit-image."""
    try:
        import skimage.data
    except ModuleNotFoundError as error:
        raise missing("demo", error) from error
    photo: Image = skimage.data.astronaut()
    return photo


def demo(out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("jvcr-demo")) -> None:
    """Landmarks of the astronaut photograph inside scikit-image (public domain): picture, 3D page and JSON."""
    image = astronaut()
    faces = Landmarker().predict(image)
    written = Outputs(out, []).write(Path("astronaut"), image, faces, draw=True, html=True)
    written.append(out / "astronaut.json")
    written[-1].write_text(json.dumps(photo_record("astronaut", image, faces), indent=1), encoding="utf-8")
    typer.echo(summary("astronaut", faces, written))
    typer.echo("Open the .html file in a browser and turn the face with the mouse; a click on a legend entry hides it.")
