"""``jvcr demo``: predict landmarks on a photograph that comes with scikit-image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.predict import summary, write_results
from jvcr.extras import missing
from jvcr.files import write_text
from jvcr.images import Image
from jvcr.io.outputs import check_outputs
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


_RESULTS = ("astronaut_landmarks.jpg", "astronaut_3d.html", "astronaut.json")


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the results. It replaces the three files of an earlier demo.")
    ] = Path("jvcr-demo"),
) -> None:
    """Landmarks of the astronaut photograph inside scikit-image (public domain): picture, 3D page and JSON."""
    written = [out / name for name in _RESULTS]
    check_outputs([("--out", path) for path in written])
    image = astronaut()
    faces = Landmarker().predict(image, volumes=True)
    write_results(written[:2], image, faces, "astronaut")
    write_text(written[2], json.dumps(photo_record("astronaut", image, faces), indent=1))
    typer.echo(summary("astronaut", faces, written))
    typer.echo("Open the .html file in a browser and rotate the face with the mouse. Click a legend entry to hide it.")
