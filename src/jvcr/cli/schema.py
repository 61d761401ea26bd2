"""``jvcr schema``: the format of the results."""

from __future__ import annotations

import typer

from jvcr.io.schema import schema_text


def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of the records that predict, video and batch write."""
    typer.echo(schema_text(), nl=False)
