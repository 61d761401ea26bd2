"""The AFLW2000-3D report as an HTML page: plots, pictures of the worst faces, tables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from jvcr.draw.page import import_plotly
from jvcr.evaluate.aflw2000_scores import Cell, Curve, Score
from jvcr.evaluate.aflw2000_tables import n_points_of
from jvcr.evaluate.aflw2000_truth import Truth
from jvcr.evaluate.benchmark import BINS, PUBLISHED_POINTS
from jvcr.evaluate.pages import COLOURS, Picture, draw_pair, embedded, render
from jvcr.evaluate.published import AFLW2000_NME, PublishedNme
from jvcr.report import Table


def page(
    introduction: Sequence[str],
    truth: Truth,
    scores: Sequence[Score],
    tables: Sequence[Table],
    worst: Sequence[tuple[str, float]],
) -> str:
    """Render the page.

    Args:
        worst: name and NME of the first system's faces to draw. Their images are read from disk.
    Raises:
        MissingExtra: plotly or Jinja2 is not installed.
    """
    go, _ = import_plotly()
    figures = [_bins(go, scores), _curves(go, scores), _yaw(go, truth, scores), _regions(go, scores)]
    return render(
        "aflw2000.html",
        title="AFLW2000-3D",
        introduction=introduction,
        plots=embedded(figure for figure in figures if figure is not None),
        first=f"{scores[0].system.name}, {scores[0].system.boxes}",
        faces=_faces(truth, scores[0], worst),
        tables=tables,
    )


def _faces(truth: Truth, first: Score, worst: Sequence[tuple[str, float]]) -> list[Picture]:
    row_of = {name: row for row, name in enumerate(truth.names)}
    faces = []
    for name, error in worst:
        row = row_of[name]
        pixels = draw_pair(truth.image(name), first.system.points_img[row], truth.original_img[row], truth.markup)
        caption = f"{name}: NME {100 * error:.1f} %, yaw {truth.fitted_yaw_deg[row]:+.0f}°"
        faces.append(Picture.of(pixels, name, caption))
    return faces


def _label(one: Score) -> str:
    """A system's name, escaped because plotly interprets names as HTML."""
    return html.escape(f"{one.system.name}, {one.system.boxes}")


def _published(scores: Sequence[Score]) -> tuple[PublishedNme, ...]:
    """Published results to compare with, all for 68 points; empty for other markups."""
    return AFLW2000_NME if n_points_of(scores) == PUBLISHED_POINTS else ()


def _bins(go: Any, scores: Sequence[Score]) -> Any:
    """NME by yaw with confidence intervals; published means as markers."""
    x = [*BINS, "mean of bins"]
    traces = []
    for number, one in enumerate(scores):
        cell = one.cell("NME")
        if not isinstance(cell, Cell):
            continue
        means = [*cell.table.bins, cell.table.mean]
        bounds = [*cell.bins_interval, cell.mean_interval]
        traces.append(
            go.Bar(
                x=x,
                y=[100 * v for v in means],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (b.high - v) for b, v in zip(bounds, means, strict=True)],
                    "arrayminus": [100 * (v - b.low) for b, v in zip(bounds, means, strict=True)],
                },
                name=_label(one),
                marker_color=COLOURS[number % len(COLOURS)],
            )
        )
    for number, method in enumerate(_published(scores)):
        values = [*(method.bins or (None, None, None)), method.mean]
        shown = method.method.startswith(("JVCR", "SynergyNet", "3DDFA_V2, released"))
        traces.append(
            go.Scatter(
                x=x,
                y=values,
                mode="markers",
                marker={"symbol": number % 32, "size": 9},
                name=f"{method.method} (published)",
                visible=True if shown else "legendonly",
            )
        )
    figure = go.Figure(traces)
    figure.update_layout(
        title="NME by yaw, original labels (95 % bootstrap intervals; marks: published, all 2,000 images)",
        yaxis_title="NME, percent",
        barmode="group",
        height=480,
    )
    return figure


def _curves(go: Any, scores: Sequence[Score]) -> Any:
    """Cumulative error curves of the measured systems; a vertical line for each published mean."""
    figure = go.Figure()
    limit = 0.0
    for number, one in enumerate(scores):
        for labels, curve in one.curves.items():
            if not isinstance(curve, Curve):
                continue
            limit = 100 * curve.limit
            figure.add_trace(
                go.Scatter(
                    x=[100 * t for t in curve.thresholds],
                    y=[100 * f for f in curve.fractions],
                    mode="lines",
                    line={
                        "color": COLOURS[number % len(COLOURS)],
                        "dash": "solid" if labels == "original" else "dot",
                        "width": 2.5,
                    },
                    name=f"{_label(one)}, {labels} labels",
                )
            )
    for number, method in enumerate(m for m in _published(scores) if m.mean < limit):
        shown = method.method.startswith(("JVCR", "SynergyNet"))
        figure.add_trace(
            go.Scatter(
                x=[method.mean] * 2,
                y=[0, 100],
                mode="lines",
                line={"width": 1, "dash": "dash", "color": f"hsl({number * 360 // len(AFLW2000_NME)},45%,45%)"},
                name=f"{method.method}: published mean {method.mean:.2f}",
                visible=True if shown else "legendonly",
            )
        )
    figure.update_layout(
        title="Cumulative error distribution (missed faces count as errors; vertical lines: published means of bins)",
        xaxis_title="NME, percent",
        yaxis_title="faces with a smaller error, percent",
        height=500,
    )
    return figure


def _yaw(go: Any, truth: Truth, scores: Sequence[Score]) -> Any:
    """Error over yaw, for every face and system."""
    yaw = truth.fitted_yaw_deg
    figure = go.Figure()
    for number, one in enumerate(scores):
        figure.add_trace(
            go.Scattergl(
                x=yaw,
                y=100 * one.per_face["NME", "original"],
                mode="markers",
                marker={"size": 5, "opacity": 0.6, "color": COLOURS[number % len(COLOURS)]},
                text=truth.names,
                name=_label(one),
                visible=True if number == 0 else "legendonly",
            )
        )
    figure.update_layout(
        title="Every face: error over yaw (original labels)",
        xaxis_title="fitted yaw, degrees; positive to the person's left",
        yaxis={"title": "NME, percent", "type": "log"},
        height=450,
    )
    return figure


def _regions(go: Any, scores: Sequence[Score]) -> Any:
    first = scores[0].regions["original"]
    if isinstance(first, str):
        return None
    traces = [
        go.Bar(
            x=list(first),
            y=[100 * table.bins[i] for table in first.values()],
            name=bin_name,
            marker_color=("#9ecae1", "#4292c6", "#08519c")[i],
        )
        for i, bin_name in enumerate(BINS)
    ]
    figure = go.Figure(traces)
    figure.update_layout(
        title=f"NME of parts of the face by yaw: {_label(scores[0])}",
        yaxis_title="NME, percent",
        barmode="group",
        height=420,
    )
    return figure
