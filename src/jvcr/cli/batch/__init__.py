"""``jvcr batch``: very many photos. ``jvcr batch SOURCE OUT`` is short for ``jvcr batch run SOURCE OUT``."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

from jvcr.cli.batch.inspect import report, status, verify
from jvcr.cli.batch.run import run


class _RunByDefault(TyperGroup):
    """A group whose command ``run`` need not be named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Insert the command's name."""
        if args and args[0] not in (*self.commands, "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Landmarks of very many photos, in shards that survive a kill: jvcr batch SOURCE OUT (docs/batch.md).",
    cls=_RunByDefault,
    no_args_is_help=True,
)
app.command()(run)
app.command()(status)
app.command()(verify)
app.command()(report)


@app.callback()
def _batch() -> None:
    """Landmarks of very many photos, in shards that survive a kill: jvcr batch SOURCE OUT (docs/batch.md)."""
