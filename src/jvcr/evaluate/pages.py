"""Self-contained HTML reports: templates (Jinja2), plots (plotly, embedded once), and pictures of faces."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.draw.page import import_plotly
from jvcr.extras import missing
from jvcr.frames import Box, Crop, CropRule
from jvcr.images import Image, extract
from jvcr.markups.markup import Markup

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Plot colours, in the order of the systems."""

_FACE_PX = 300


@dataclass(frozen=True)
class Picture:
    """A picture embedded in a page: ``source`` is the JPEG file as a data URL."""

    source: str
    name: str
    caption: str

    @classmethod
    def of(cls, pixels: Image, name: str, caption: str) -> Picture:
        """Encode an image, (H, W, 3) uint8 RGB."""
        data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        return cls(f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}", name, caption)


def check_page_extras() -> None:
    """Fail early if a package for the page is missing.

    Raises:
        MissingExtra: plotly or Jinja2 is not installed.
    """
    import_plotly()
    _jinja2()


def render(template: str, **values: Any) -> str:
    """A page from ``templates``; all values are escaped unless marked as markup.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    jinja2 = _jinja2()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jvcr.evaluate"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return str(environment.get_template(template).render(**values))


def embedded(figures: Iterable[Any]) -> list[Any]:
    """Plotly figures as HTML. The first one includes plotly's JavaScript.

    Raises:
        MissingExtra: plotly or Jinja2 is not installed.
    """
    _, figure_to_html = import_plotly()
    _jinja2()
    from markupsafe import Markup as Safe  # a dependency of Jinja2

    return [
        Safe(figure_to_html(figure, include_plotlyjs=number == 0, full_html=False, config={"displaylogo": False}))
        for number, figure in enumerate(figures)
    ]


def _jinja2() -> Any:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise missing("demo", error) from error
    return jinja2


def draw_pair(image: Image, predicted: NDArray[Any], target: NDArray[Any], markup: Markup) -> Image:
    """Draw true (green) and predicted (orange) landmarks on a crop around both.

    Args:
        predicted, target: (N, ≥2), image pixels. Points with NaN are not drawn.
    Returns:
        (S, S, 3) uint8 RGB.
    """
    both = np.concatenate([predicted[:, :2], target[:, :2]])
    both = both[np.isfinite(both).all(axis=1)]
    crop = Crop.from_box(Box.around(both), _FACE_PX, rule=CropRule(1.25))
    canvas = extract(image, crop, cv2.BORDER_CONSTANT)
    for points, colour in ((target, (60, 220, 60)), (predicted, (255, 140, 0))):
        flat = np.zeros((len(points), 3))
        flat[:, :2] = points[:, :2]
        known = np.flatnonzero(np.isfinite(flat).all(axis=1)).tolist()
        # OpenCV's fixed-point coordinates, in sixteenths of a pixel.
        places = np.round(crop.to_crop(flat[known])[:, :2] * 16).astype(int).tolist()
        fixed = {number: (x, y) for number, (x, y) in zip(known, places, strict=True)}
        for a, b in markup.edges:
            if a in fixed and b in fixed:
                cv2.line(canvas, fixed[a], fixed[b], colour, 1, cv2.LINE_AA, 4)
        for point in fixed.values():
            cv2.circle(canvas, point, 24, colour, cv2.FILLED, cv2.LINE_AA, 4)
    return canvas
