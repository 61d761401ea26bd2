"""A self-contained HTML page with an interactive 3D view of landmarks and predicted volume (plotly, extra ``demo``)."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.draw.landmarks import depth_colours
from jvcr.draw.voxels import occupied
from jvcr.extras import missing
from jvcr.files import write_text
from jvcr.frames import Crop
from jvcr.images import Image, extract
from jvcr.results import Face

_PICTURE_PX = 96


def import_plotly() -> tuple[Any, Any]:
    """plotly's graph objects and its HTML writer; raises MissingExtra without plotly."""
    try:
        import plotly.graph_objects
        import plotly.io
    except ModuleNotFoundError as error:
        raise missing("demo", error) from error
    return plotly.graph_objects, plotly.io.to_html


def write_html(path: Path, image: Image, faces: Sequence[Face], title: str) -> None:
    """Write one page with a 3D scene for each face.

    Raises:
        MissingExtra: plotly is not installed.
    """
    write_text(path, to_page(image, faces, title), errors="replace")


def to_page(image: Image, faces: Sequence[Face], title: str) -> str:
    """The page of ``write_html`` as text.

    Raises:
        MissingExtra: plotly is not installed.
    """
    go, to_html = import_plotly()
    parts = []
    for number, face in enumerate(faces, 1):
        figure = go.Figure(_traces(go, image, face))
        figure.update_layout(
            title=f"{html.escape(title)}: face {number} of {len(faces)}, score {face.score:.2f}",
            scene={
                "xaxis_title": "x, pixels →",
                "yaxis_title": "y, pixels ↓",
                "zaxis_title": "z, pixels, away from the camera",
                "aspectmode": "data",
                # Seen from the camera: x to the right, y down, z into the screen, and a little from the side.
                # Orthographic, as the landmarks are: from straight ahead they lie on the photo.
                "camera": {
                    "up": {"x": 0, "y": -1, "z": 0},
                    "eye": {"x": 0.5, "y": -0.25, "z": -1.6},
                    "projection": {"type": "orthographic"},
                },
            },
            height=760,
            margin={"l": 0, "r": 0, "t": 50, "b": 0},
        )
        parts.append(to_html(figure, include_plotlyjs=number == 1, full_html=False))
    body = "\n".join(parts) or "<p>No face found.</p>"
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title>"
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def _traces(go: Any, image: Image, face: Face) -> list[Any]:
    traces = [*_landmark_traces(go, face)]
    if face.volume is not None and face.crop is not None:
        traces += [_volume_trace(go, face.volume, face.crop), _picture_trace(go, image, face.crop)]
    return traces


def _landmark_traces(go: Any, face: Face) -> list[Any]:
    points = face.landmarks
    colours = [f"rgb({r},{g},{b})" for r, g, b in depth_colours(points).tolist()]
    # One line trace: None lifts the pen between edges.
    ends = [value for a, b in face.markup.edges for value in (points[a], points[b], (None, None, None))]
    x, y, z = zip(*ends, strict=True) if ends else ((), (), ())
    lines = go.Scatter3d(x=x, y=y, z=z, mode="lines", line={"color": "#555", "width": 4}, name="outline")
    dots = go.Scatter3d(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        mode="markers",
        marker={"size": 4, "color": colours},
        text=[f"landmark {label}" for label in face.markup.labels],
        name="landmarks",
    )
    return [lines, dots]


def _volume_trace(go: Any, volume: NDArray[np.float32], crop: Crop) -> Any:
    """Occupied voxels, as dots where they lie in the image."""
    points, values = occupied(volume, crop)
    return go.Scatter3d(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        mode="markers",
        marker={
            "size": 5,
            "color": values,
            "colorscale": "Viridis",
            "opacity": 0.12,
            "cmin": 0,
            "cmax": 1,
        },
        name="predicted volume",
    )


def _picture_trace(go: Any, image: Image, crop: Crop) -> Any:
    """The crop itself, standing behind the head."""
    small = Crop(crop.centre_x, crop.centre_y, crop.side_px, _PICTURE_PX, crop.rotation_deg)
    pixels = extract(image, small, cv2.BORDER_CONSTANT).reshape(-1, 3)
    y, x = np.mgrid[0:_PICTURE_PX, 0:_PICTURE_PX].reshape(2, -1)
    behind = np.full(x.shape, _PICTURE_PX / 2)
    points = small.to_image(np.stack([x, y, behind], axis=-1).astype(np.float32))
    corner = np.arange(_PICTURE_PX * _PICTURE_PX).reshape(_PICTURE_PX, _PICTURE_PX)
    a, b, c, d = (corner[sy, sx].ravel() for sy in (slice(-1), slice(1, None)) for sx in (slice(-1), slice(1, None)))
    return go.Mesh3d(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        i=np.concatenate([a, b]),
        j=np.concatenate([b, d]),
        k=np.concatenate([c, c]),
        vertexcolor=[f"rgb({r},{g},{b})" for r, g, b in pixels.tolist()],
        lighting={"ambient": 1.0, "diffuse": 0.0, "specular": 0.0},
        hoverinfo="skip",
        name="photo",
        showlegend=True,
    )
