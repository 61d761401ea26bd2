"""The ``jvcr`` command."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

import jvcr
from jvcr.cli.bench import bench
from jvcr.cli.claims import claims
from jvcr.cli.console import fail
from jvcr.cli.data import app as data
from jvcr.cli.demo import demo
from jvcr.cli.evaluate import app as evaluate
from jvcr.cli.export import export
from jvcr.cli.figure import figure
from jvcr.cli.markup import markup
from jvcr.cli.predict import predict
from jvcr.cli.train import train
from jvcr.cli.video import video

app = typer.Typer(
    help="3D facial landmarks from one photo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(predict)
app.command()(video)
app.command()(train)
app.command()(bench)
app.command()(export)
app.command()(claims)
app.command()(figure)
app.command()(markup)
app.add_typer(evaluate, name="evaluate")
app.add_typer(data, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jvcr {jvcr.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name or an arrow that the terminal's encoding lacks must not end the run.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        # These carry a message for the user; a traceback would only hide it.
        if os.environ.get("JVCR_DEBUG"):
            raise
        fail(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
