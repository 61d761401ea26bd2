"""``jvcr evaluate``: one sub-command a benchmark."""

from __future__ import annotations

import typer

from jvcr.cli.evaluate.aflw2000 import aflw2000
from jvcr.cli.evaluate.confidence import confidence
from jvcr.cli.evaluate.detect import detect
from jvcr.cli.evaluate.expression import expression
from jvcr.cli.evaluate.paper import paper
from jvcr.cli.evaluate.robustness import robustness
from jvcr.cli.evaluate.table import table
from jvcr.cli.evaluate.views import views

app = typer.Typer(
    help="Score weights, or the predictions of any aligner, on a benchmark (docs/evaluation.md).",
    no_args_is_help=True,
)
app.command("aflw2000-3d")(aflw2000)
app.command("expression")(expression)
app.command("confidence")(confidence)
app.command("views")(views)
app.command("multi-view", hidden=True)(views)
app.command("table")(table)
app.command("robustness")(robustness)
app.command("detect")(detect)
app.command("paper")(paper)


@app.callback()
def _evaluate() -> None:
    """Score weights, or the predictions of any aligner, on a benchmark (docs/evaluation.md)."""
