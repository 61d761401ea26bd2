"""The expression report as an HTML page: tables, plots of predicted over true values, pictures of the worst faces."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.draw.page import import_plotly
from jvcr.evaluate.expression_scores import ExpressionScore, ExpressionTruth
from jvcr.evaluate.pages import COLOURS, Picture, draw_pair, embedded, render
from jvcr.expression import eye_openings, mouth_opening
from jvcr.images import Image
from jvcr.report import Table


def page(
    scores: Sequence[ExpressionScore],
    truth: ExpressionTruth,
    tables: Sequence[Table],
    read: Callable[[str], Image],
    worst: int,
) -> str:
    """Render the page.

    Args:
        read: name of an image → (H, W, 3) uint8 RGB; called only for the faces that are drawn.
        worst: number of faces to draw: those with the largest errors of the first system.
    Raises:
        MissingExtra: plotly or Jinja2 is not installed.
    """
    go, _ = import_plotly()
    return render(
        "expression.html",
        title=f"Expression: {truth.title}",
        tables=tables,
        plots=embedded(_openings(go, scores, measure) for measure in scores[0].pairs),
        first=scores[0].system.name,
        faces=[_face(scores[0], truth, row, read) for row in scores[0].worst[:worst]],
    )


def _face(first: ExpressionScore, truth: ExpressionTruth, row: int, read: Callable[[str], Image]) -> Picture:
    # The caption shows 2D openings, because those are scored.
    name, seen, true = truth.names[row], first.system.points_img[row, :, :2], truth.hand_img[row]
    caption = (
        f"{name}: eyes {_openings_text(eye_openings(seen))} (true {_openings_text(eye_openings(true))}), "
        f"mouth {_openings_text(mouth_opening(seen))} (true {_openings_text(mouth_opening(true))})"
    )
    return Picture.of(draw_pair(read(name), seen, true, first.system.markup), name, caption)


def _openings(go: Any, scores: Sequence[ExpressionScore], measure: str) -> Any:
    """Predicted over true value, for every eye, mouth or brow."""
    figure = go.Figure()
    for number, one in enumerate(scores):
        true, predicted = one.pairs[measure].T
        figure.add_trace(
            go.Scattergl(
                x=true,
                y=predicted,
                mode="markers",
                marker={"size": 5, "opacity": 0.6, "color": COLOURS[number % len(COLOURS)]},
                name=html.escape(f"{one.system.name}, {one.system.boxes}"),
                visible=True if number == 0 else "legendonly",
            )
        )
    ends = [0.0, max((float(one.pairs[measure].max()) for one in scores if len(one.pairs[measure])), default=0.0)]
    figure.add_trace(
        go.Scatter(x=ends, y=ends, mode="lines", line={"dash": "dash", "color": "#888"}, name="as hand-marked")
    )
    figure.update_layout(
        title=f"{measure.capitalize()}: predicted over hand-marked",
        xaxis_title="hand-marked",
        yaxis_title="predicted",
        height=480,
    )
    return figure


def _openings_text(values: NDArray[Any]) -> str:
    return ", ".join("–" if value != value else f"{value:.2f}" for value in np.atleast_1d(values))
