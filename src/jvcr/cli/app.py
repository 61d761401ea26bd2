"""The ``jvcr`` command."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Annotated, Any

import typer

import jvcr
from jvcr.cli.batch import app as batch
from jvcr.cli.bench import bench
from jvcr.cli.claims import claims
from jvcr.cli.console import fail
from jvcr.cli.convert import convert
from jvcr.cli.data import app as data
from jvcr.cli.demo import demo
from jvcr.cli.evaluate import app as evaluate
from jvcr.cli.export import export
from jvcr.cli.figure import figure
from jvcr.cli.markup import markup
from jvcr.cli.predict import predict
from jvcr.cli.serve import serve
from jvcr.cli.train import train
from jvcr.cli.video import video
from jvcr.files import cannot_write

app = typer.Typer(
    help="3D facial landmarks from one photo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(predict)
app.command()(video)
app.command()(serve)
app.command()(convert)
app.command()(train)
app.command()(bench)
app.command()(export)
app.command()(claims)
app.command()(figure)
app.command()(markup)
app.add_typer(batch, name="batch")
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


class _Stdout(io.FileIO):
    """Standard output that ends the run when its reader is gone, and never fails twice."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # Discard what is still buffered, or Python would fail on it again at exit.
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path
                os.dup2(nowhere.fileno(), self.fileno())
            if isinstance(error, BrokenPipeError):
                # End quietly, like a program that SIGPIPE ends. Open files are closed on the way.
                raise SystemExit(BROKEN_PIPE) from None
            raise cannot_write("standard output", error) from error


BROKEN_PIPE = 128 + 13
"""Exit code of a program whose output is no longer read, as shells give it."""


HUNG_UP = 130
"""Exit code of a run whose terminal was closed; the same as for Ctrl-C."""


def _guard_streams() -> None:
    # Where a standard stream is closed, the next file to be opened would take its number, and whatever is printed there
    # would go into that file.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper) and os.name == "posix":
        sys.stdout.flush()
        raw = _Stdout(sys.stdout.fileno(), "wb", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=sys.stdout.encoding, line_buffering=sys.stdout.line_buffering
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal's encoding lacks must not end the run.
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    _guard_streams()
    try:
        app()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        # These carry a message for the user. A traceback would only hide it.
        if os.environ.get("JVCR_DEBUG"):
            raise
        io_failed = isinstance(error, OSError) and errno.EIO in (error.errno, getattr(error.__cause__, "errno", None))
        if io_failed and not any(os.isatty(number) for number in (1, 2)):
            # The terminal was closed during a write: end as SIGHUP does, whose handler ran too late.
            sys.exit(HUNG_UP)
        fail(str(error))
        sys.exit(1)


def script() -> None:
    """``main`` as a process of its own.

    Arrow's threads can abort a process that tears them down, so where it was loaded nothing is torn down.
    """
    code: int | str | None = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    if "pyarrow" not in sys.modules or not isinstance(code, int | None):
        sys.exit(code)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    script()
