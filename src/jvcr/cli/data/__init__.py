"""``jvcr data``: data sets. One file per sub-command."""

from __future__ import annotations

import typer

from jvcr.cli.data.check import check
from jvcr.cli.data.convert import convert
from jvcr.cli.data.turn import turn

app = typer.Typer(help="Data sets: convert, turn, check.", no_args_is_help=True)
app.command()(check)
app.command()(convert)
app.command()(turn)


@app.callback()
def _data() -> None:
    """Data sets: convert, turn, check."""
