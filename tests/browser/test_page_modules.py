"""The page's modules against the Python that they must agree with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jvcr.draw.landmarks import depth_colours
from jvcr.geometry import far_side
from jvcr.io.exports.mask import TRIANGLES_68
from jvcr.markups.markup import MARKUP_68


def ask(page: Any, module: str, script: str, *values: Any) -> Any:
    """The value of ``script``, in which ``m`` is a module of the page and ``v`` are the values."""
    code = f"async (v) => {{ const m = await import('/page/{module}.js'); return {script}; }}"
    return page.evaluate(code, list(values))


def test_the_markup_is_the_packages(page: Any) -> None:
    markup = ask(page, "markup_68", "m.MARKUP_68")
    rims = [list(members) for members in MARKUP_68.groups.values() if set(members) & {37, 43, 61}]
    assert markup == {
        "names": list(MARKUP_68.labels),
        "edges": [list(edge) for edge in MARKUP_68.edges],
        "mirror": list(MARKUP_68.mirror),
        "normaliser": list(MARKUP_68.normaliser),
        "triangles": [list(triangle) for triangle in TRIANGLES_68],
        "openings": rims,
    }
    assert {index for rim in rims for index in rim} == set(MARKUP_68.rims)


@pytest.mark.parametrize("yaw_deg", [0, 8, -40, 75])
def test_hidden_points_and_colours_are_those_of_drawings(page: Any, make_head: Any, yaw_deg: float) -> None:
    head = make_head(yaw_deg)
    script = "m.hiddenPoints(v[0], (await import('/page/markup_68.js')).MARKUP_68)"
    hidden = ask(page, "look", script, {"landmarks": head.tolist()})
    assert hidden == far_side(head).tolist()
    visibility = [0.4] + 67 * [0.6]
    said = ask(page, "look", script, {"landmarks": head.tolist(), "visibility": visibility})
    assert said == [True] + 67 * [False]
    assert any(hidden) == (abs(yaw_deg) > 30)
    colours = ask(page, "look", "m.depthColours(v[0])", head.tolist())
    assert np.abs(np.array(colours) - depth_colours(head)).max() <= 1


def test_points_on_the_canvas(page: Any) -> None:
    # Two CSS pixels for each pixel of the photo, which begins 3 pixels to the left of the canvas, and 1 above.
    view = {"left": 3, "top": 1, "scale": 2}
    assert ask(page, "frames", "m.imageToCanvas(v[0], v[1])", view, [3, 1]) == [1, 1]
    assert ask(page, "frames", "m.canvasToImage(v[0], v[1])", view, [1, 1]) == [3, 1]


def test_points_in_the_viewer(page: Any) -> None:
    """y is turned upwards and z towards the viewer; the box's longer side is 1."""
    frame = ask(page, "frames", "m.viewerFrame(v[0])", [90, 130, 210, 240])
    assert frame == {"x": 150, "y": 185, "unit": 120}
    assert ask(page, "frames", "m.imageToViewer(v[0], v[1])", frame, [180, 245, -60]) == [0.25, -0.5, 0.5]


def test_the_square_around_a_face(page: Any) -> None:
    """The example of docs/coordinates.md: the crop's outer edges are at x = 54 and 246, y = 89 and 281. Counted from
    the photo's corner, that is half a pixel more."""
    assert ask(page, "frames", "m.squareAround(v[0])", [90, 130, 210, 240]) == {"left": 54.5, "top": 89.5, "side": 192}
