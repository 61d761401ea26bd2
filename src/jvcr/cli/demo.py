"""``jvcr demo``: the main job on a photograph that everybody has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.console import need_extra
from jvcr.cli.predict import summary, to_record, write_outputs
from jvcr.landmarker import Landmarker


def demo(out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("jvcr-demo")) -> None:
    """Landmarks of the astronaut photograph inside scikit-image (public domain): picture, 3D page and JSON."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise need_extra("demo", error) from None
    image = astronaut()
    faces = Landmarker().predict(image)
    out.mkdir(parents=True, exist_ok=True)
    written = write_outputs("astronaut", out, image, faces, draw=True, html=True)
    written.append(out / "astronaut.json")
    written[-1].write_text(json.dumps(to_record("astronaut", image, faces), indent=1), encoding="utf-8")
    typer.echo(summary("astronaut", faces, written))
    typer.echo("Open the .html file in a browser: turn the face with the mouse, click 'predicted volume' to show it.")
