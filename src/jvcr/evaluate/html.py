"""The report as one self-contained HTML page: plots (plotly, embedded once), tables, and the worst faces drawn."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.draw.page import import_plotly
from jvcr.evaluate.evaluation import Evaluation
from jvcr.evaluate.expression import ExpressionScore, ExpressionTruth
from jvcr.evaluate.published import AFLW2000_NME, PublishedNme
from jvcr.evaluate.scores import Cell, Curve, Score
from jvcr.evaluate.tables import BINS, PUBLISHED_POINTS, all_tables, n_points_of
from jvcr.expression import eye_openings, mouth_opening
from jvcr.frames import Box, Crop, CropRule
from jvcr.images import Image, extract
from jvcr.markups.markup import Markup
from jvcr.report import Table

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_FACE_PX = 300
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1150px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .6em 0 }
caption { text-align: left; white-space: nowrap; font-weight: 600; padding: .4em 0 }
th, td { border-bottom: 1px solid #ddd; padding: .25em .7em .25em 0; text-align: left; vertical-align: top }
td { font-variant-numeric: tabular-nums } .wide { overflow-x: auto } .note { color: #555; margin: .2em 0 1.6em }
.published td { color: #777 } .faces { display: grid; grid-template-columns: repeat(auto-fill, 210px); gap: 14px }
figure { margin: 0 } figure img { width: 210px; height: 210px } figcaption { font-size: 13px; color: #444 }
"""


def to_html(evaluation: Evaluation, read: Callable[[str], Image], worst: int = 20) -> str:
    """The whole page.

    Args:
        read: name of an image → (H, W, 3) uint8 RGB; called for the worst faces only.
        worst: how many faces of the first system to draw.
    Raises:
        MissingExtra: plotly is not installed.
    """
    go, figure_to_html = import_plotly()
    figures = [_bins(go, evaluation.scores), _curves(go, evaluation.scores)]
    figures += [_yaw(go, evaluation), _regions(go, evaluation.scores)]
    plots = [
        figure_to_html(figure, include_plotlyjs=number == 0, full_html=False, config={"displaylogo": False})
        for number, figure in enumerate(figures)
        if figure is not None
    ]
    body = [
        "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in evaluation.introduction) + "</ul>",
        *plots,
        _faces(evaluation, read, worst),
        "<h2>All figures</h2>",
        *map(_table, all_tables(evaluation.scores, evaluation.common)),
    ]
    return _page("AFLW2000-3D", body)


def expression_page(
    scores: Sequence[ExpressionScore],
    truth: ExpressionTruth,
    tables: Sequence[Table],
    read: Callable[[str], Image],
    worst: int = 20,
) -> str:
    """Tables, predicted over true openings of every system, and the faces whose openings the first one misses most.

    Args:
        read: name of an image → (H, W, 3) uint8 RGB; called for the worst faces only.
        worst: how many faces of the first system to draw.
    Raises:
        MissingExtra: plotly is not installed.
    """
    go, figure_to_html = import_plotly()
    plots = [
        figure_to_html(
            _openings(go, scores, measure), include_plotlyjs=number == 0, full_html=False, config={"displaylogo": False}
        )
        for number, measure in enumerate(scores[0].pairs)
    ]
    first, figures = scores[0], []
    for row in first.worst[:worst]:
        name = truth.names[row]
        picture = draw_pair(read(name), first.system.points_img[row], truth.hand_img[row], first.system.markup)
        seen, true = first.system.points_img[row], truth.hand_img[row]
        caption = (
            f"{name}: eyes {_openings_text(eye_openings(seen))} (true {_openings_text(eye_openings(true))}), "
            f"mouth {_openings_text(mouth_opening(seen))} (true {_openings_text(mouth_opening(true))})"
        )
        figures.append(_picture(picture, name, caption))
    body = [
        *map(_table, tables),
        *plots,
        f"<h2>The {len(figures)} worst openings: {html.escape(first.system.name)}</h2>",
        "<p>Green: hand marks. Orange: predicted.</p>",
        f"<div class='faces'>{''.join(figures)}</div>",
    ]
    return _page(f"Expression: {truth.title}", body)


def _openings(go: Any, scores: Sequence[ExpressionScore], measure: str) -> Any:
    """Every eye, mouth or brow: predicted over true."""
    figure = go.Figure()
    for number, one in enumerate(scores):
        true, predicted = one.pairs[measure].T
        figure.add_trace(
            go.Scattergl(
                x=true,
                y=predicted,
                mode="markers",
                marker={"size": 5, "opacity": 0.6, "color": _COLOURS[number % len(_COLOURS)]},
                name=html.escape(f"{one.system.name}, {one.system.boxes}"),
                visible=True if number == 0 else "legendonly",
            )
        )
    ends = [0.0, float(max(one.pairs[measure].max() for one in scores))]
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


def _page(title: str, body: Sequence[str]) -> str:
    title = html.escape(title)
    head = f"<meta charset='utf-8'><title>{title}: evaluation</title><style>{_STYLE}</style>"
    text = "".join(body)
    return f"<!doctype html><html lang='en'><head>{head}</head><body><h1>{title}</h1>{text}</body></html>"


def _label(one: Score) -> str:
    return html.escape(f"{one.system.name}, {one.system.boxes}")


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kind = " class='published'" if "published" in cells[1:2] else ""
        return f"<tr{kind}>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in cells) + "</tr>"

    rows = "".join(row(cells, "td") for cells in table.rows)
    header = row(table.header, "th") if table.rows else ""
    notes = "<br>".join(map(html.escape, table.notes))
    return (
        f"<div class='wide'><table><caption>{html.escape(table.title)}</caption>{header}{rows}</table>"
        f"</div><p class='note'>{notes}</p>"
    )


def _published(scores: Sequence[Score]) -> tuple[PublishedNme, ...]:
    """What may stand beside these scores: published figures are of 68 points."""
    return AFLW2000_NME if n_points_of(scores) == PUBLISHED_POINTS else ()


def _bins(go: Any, scores: Sequence[Score]) -> Any:
    """NME by yaw with its intervals; published means as marks."""
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
                marker_color=_COLOURS[number % len(_COLOURS)],
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
    """Cumulative errors of what was measured; of published methods only the mean is known: a line each."""
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
                        "color": _COLOURS[number % len(_COLOURS)],
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
        title="Cumulative error distribution (missed faces count as errors; upright lines: published means of bins)",
        xaxis_title="NME, percent",
        yaxis_title="faces with a smaller error, percent",
        height=500,
    )
    return figure


def _yaw(go: Any, evaluation: Evaluation) -> Any:
    """Every face of every system: error over yaw."""
    yaw = evaluation.truth.fitted_yaw_deg
    figure = go.Figure()
    for number, one in enumerate(evaluation.scores):
        figure.add_trace(
            go.Scattergl(
                x=yaw,
                y=100 * one.per_face["NME", "original"],
                mode="markers",
                marker={"size": 5, "opacity": 0.6, "color": _COLOURS[number % len(_COLOURS)]},
                text=evaluation.truth.names,
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


def _faces(evaluation: Evaluation, read: Callable[[str], Image], count: int) -> str:
    first = evaluation.scores[0]
    row_of = {name: row for row, name in enumerate(evaluation.truth.names)}
    figures = []
    for name, error in evaluation.worst(count):
        row = row_of[name]
        picture = draw_pair(
            read(name), first.system.points_img[row], evaluation.truth.original_img[row], evaluation.truth.markup
        )
        yaw = evaluation.truth.fitted_yaw_deg[row]
        figures.append(_picture(picture, name, f"{name}: NME {100 * error:.1f} %, yaw {yaw:+.0f}°"))
    return (
        f"<h2>The {len(figures)} worst faces: {_label(first)}</h2>"
        "<p>Green: true landmarks (original labels). Orange: predicted.</p>"
        f"<div class='faces'>{''.join(figures)}</div>"
    )


def _picture(picture: Image, name: str, caption: str) -> str:
    data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    source = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
    name, caption = html.escape(name), html.escape(caption)
    return f"<figure><img alt='{name}' src='{source}'><figcaption>{caption}</figcaption></figure>"


def draw_pair(image: Image, predicted: NDArray[Any], target: NDArray[Any], markup: Markup) -> Image:
    """(S, S, 3) a square around both outlines: true ones green, predicted ones orange. Points (N, ≥2), image pixels;
    those with NaN are left out."""
    both = np.concatenate([predicted[:, :2], target[:, :2]])
    both = both[np.isfinite(both).all(axis=1)]
    crop = Crop.from_box(Box.around(both), _FACE_PX, rule=CropRule(1.25))
    canvas = extract(image, crop, cv2.BORDER_CONSTANT)
    for points, colour in ((target, (60, 220, 60)), (predicted, (255, 140, 0))):
        flat = np.zeros((len(points), 3))
        flat[:, :2] = points[:, :2]
        known = np.flatnonzero(np.isfinite(flat).all(axis=1)).tolist()
        # Sixteenths of a pixel, OpenCV's fixed-point coordinates.
        places = np.round(crop.to_crop(flat[known])[:, :2] * 16).astype(int).tolist()
        fixed = {number: (x, y) for number, (x, y) in zip(known, places, strict=True)}
        for a, b in markup.edges:
            if a in fixed and b in fixed:
                cv2.line(canvas, fixed[a], fixed[b], colour, 1, cv2.LINE_AA, 4)
        for point in fixed.values():
            cv2.circle(canvas, point, 24, colour, cv2.FILLED, cv2.LINE_AA, 4)
    return canvas
