"""Figures 2, 4 and 5 of the paper, redrawn from the predictions of a network (matplotlib, extra ``train``).

They have the content of the paper's figures in a layout of our own (docs/figures.md).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.draw.volume import OBLIQUE, View, depth_range, draw_crop, draw_shape, draw_volume
from jvcr.extras import import_figure
from jvcr.files import written_whole
from jvcr.frames import Points, unit_to_crop, unit_to_vox
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.volume import rasterise

ENDINGS = (".png", ".pdf", ".svg")
"""File name endings that ``save`` supports."""

_CELL_PX = 480
_CELL_INCH = 1.45
_DPI = 200
_SIDEWAYS = View(yaw_deg=78, pitch_deg=6)
_INK = "#333333"
_ACCENT = "#5a7fb0"


@dataclass(frozen=True, eq=False)
class Example:
    """One face and the predictions of a network.

    Attributes:
        name: for messages.
        crop_rgb: (S, S, 3) uint8, the network's crop; S may be larger than the network's input.
        points_unit: (N, 3) predicted landmarks, unit frame.
        volumes: predicted volumes (d_m, H, W), coarse to fine; only the last one if the others are not available.
        markup: of the landmarks.
        image_size: side of the network's input, pixels.
        true_unit: (N, 3) true landmarks, unit frame, if known.
    """

    name: str
    crop_rgb: Image
    points_unit: Points
    volumes: tuple[NDArray[np.float32], ...]
    markup: Markup
    image_size: int
    true_unit: Points | None = None

    @property
    def z_range(self) -> tuple[float, float]:
        """Smallest and largest z of the landmarks, unit frame."""
        return depth_range(self.points_unit)


def save(figure: Any, path: Path) -> None:
    """Write a figure. The path's ending chooses the format, one of ``ENDINGS``.

    Raises:
        ValueError: another ending.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        figure.savefig(file, dpi=_DPI, facecolor="white", format=path.suffix[1:].lower())


def check_ending(path: Path) -> None:
    """Raise ValueError unless ``save`` can write to ``path``."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}")


def figure_2(examples: Sequence[Example]) -> Any:
    """The pipeline, one face per row: crop → hourglasses with their volumes → 3D convolutions → landmarks.

    Raises:
        ValueError: no example, or the volumes of the examples have different sizes.
        MissingExtra: matplotlib is not installed.
    """
    first = _first_of(examples)
    n_volumes = len(first.volumes)
    glyph = 0.54
    lefts = [0.0]
    for _ in range(n_volumes + 1):
        lefts.append(lefts[-1] + 1 + glyph)
    lefts.append(lefts[-1] + 1.08)
    width, step = lefts[-1] + 1, 1.12
    caption = (
        "From a photo to 3D landmarks. Each of the stacked hourglasses predicts a volume, from coarse to fine in "
        "depth; the last is the compact volume, from which 3D convolutions regress the coordinates of all landmarks. "
        "The volumes are the network's predictions for the photo, drawn as clouds. Colour is depth, from near the "
        "camera (yellow) to far (blue)."
    )
    figure, axes = _canvas(width, step * len(examples) - 0.12, above=0.34, below=0.28, caption=caption)
    for row, example in enumerate(examples):
        top = -row * step
        pictures = [example.crop_rgb]
        pictures += [draw_volume(v, OBLIQUE, _CELL_PX, z_range_unit=example.z_range) for v in example.volumes]
        pictures.append(draw_shape(example.points_unit, example.markup, OBLIQUE, _CELL_PX))
        pictures.append(_with_landmarks(example, example.points_unit))
        for left, picture in zip(lefts, pictures, strict=True):
            _show(axes, picture, left, top)
        for number, left in enumerate(lefts[: n_volumes + 1]):
            last = number == n_volumes
            _glyph(axes, left + 1.05, top - 0.5, glyph - 0.1, tapering=last)
            if row == 0:
                label = "3D convo-\nlutions" if last else f"hourglass\n{number + 1}"
                _text(axes, left + 1 + glyph / 2, top - 0.08, label, va="center", size=6.5)
    heads = [("photo", f"{first.image_size} × {first.image_size}")]
    heads += [(f"volume {number}", _times(volume.shape)) for number, volume in enumerate(first.volumes, 1)]
    heads[-1] = ("compact volume", _times(first.volumes[-1].shape))
    heads += [("3D shape", f"{first.markup.n_points} × 3"), (f"the {first.markup.n_points} landmarks", "on the photo")]
    for left, (upper, lower) in zip(lefts, heads, strict=True):
        _head(axes, left + 0.5, upper, lower)
    bottom = -step * len(examples) + 0.05
    _bracket(axes, 1.04, lefts[n_volumes] + 1, bottom, "G: voxel regression")
    _bracket(axes, lefts[n_volumes] + 1.04, lefts[-2] + 1, bottom, "P: coordinate regression")
    return figure


def figure_4(examples: Sequence[Example]) -> Any:
    """The compact volume, one face per row: one volume per landmark, the compact volume of the landmarks, and the
    predicted compact volume. Both compact volumes are shown from two viewpoints.

    The compact volume of the landmarks uses the labels if all examples have one, else the predicted landmarks. The
    caption says which.

    Raises:
        ValueError: no example.
        MissingExtra: matplotlib is not installed.
    """
    first = _first_of(examples)
    labelled = all(example.true_unit is not None for example in examples)
    shape = first.volumes[-1].shape
    n_points = first.markup.n_points
    lefts = [0.0, 1.08, 2.24, 3.28, 4.44, 5.48]
    width, step = lefts[-1] + 1, 1.06
    whose = "labelled landmarks" if labelled else "landmarks that the network predicts"
    caption = (
        f"The compact volume. One volume per landmark needs {n_points} × {_times(shape)} = "
        f"{n_points * int(np.prod(shape)):,} voxels (three volumes are shown). The compact volume stores the maximum "
        f"of all Gaussians in every voxel: {int(np.prod(shape)):,} voxels for any number of landmarks. "
        f"Middle: rasterised from the {whose}. Right: predicted by the hourglasses from the photo. Each is seen from "
        "near the camera and from the side of the face. Colour is depth, from near the camera (yellow) to far (blue)."
    )
    figure, axes = _canvas(width, step * len(examples) - 0.06, above=0.34, below=0.04, caption=caption)
    for row, example in enumerate(examples):
        top = -row * step
        points = example.true_unit if labelled and example.true_unit is not None else example.points_unit
        z_range = depth_range(points)
        drawn = rasterise(unit_to_vox(points, shape), shape)
        _show(axes, _with_landmarks(example, points), lefts[0], top)
        _show_one_a_landmark(axes, example, points, lefts[1], top)
        for left, volume in zip(lefts[2::2], (drawn, example.volumes[-1]), strict=True):
            for beside, view in ((0.0, OBLIQUE), (1.04, _SIDEWAYS)):
                _show(axes, draw_volume(volume, view, _CELL_PX, z_range_unit=z_range), left + beside, top)
    size = _times(shape)
    _head(axes, lefts[0] + 0.5, "photo with", "its labels" if labelled else "landmarks")
    _head(axes, lefts[1] + 0.5, "one volume per landmark", f"{n_points} × {size}")
    _head(axes, lefts[3] - 0.02, "compact volume, true" if labelled else "compact volume of the landmarks", size)
    _head(axes, lefts[5] - 0.02, "compact volume, predicted", size)
    return figure


def figure_5(examples: Sequence[Example], per_line: int = 8) -> Any:
    """Results, one face per column: photo, predicted volume, 3D shape. ``per_line`` faces fit side by side; more faces
    go into further rows.

    Raises:
        ValueError: no example.
        MissingExtra: matplotlib is not installed.
    """
    _first_of(examples)
    lines = [examples[start : start + per_line] for start in range(0, len(examples), per_line)]
    step, block = 1.04, 3 * 1.04 + 0.08
    columns = len(lines[0])
    margin = 0.3
    caption = (
        "Results: photo, predicted compact volume, and the 3D shape regressed from it. Volume and shape are seen from "
        "the same viewpoint, beside and above the camera. Colour is depth, from near the camera (yellow) to far (blue)."
    )
    figure, axes = _canvas(
        margin + columns * step - 0.04, block * len(lines) - 0.12, above=0.04, below=0.04, caption=caption
    )
    for number, line in enumerate(lines):
        top = -number * block
        for column, example in enumerate(line):
            left = margin + column * step
            _show(axes, example.crop_rgb, left, top)
            _show(
                axes,
                draw_volume(example.volumes[-1], OBLIQUE, _CELL_PX, z_range_unit=example.z_range),
                left,
                top - step,
            )
            _show(axes, draw_shape(example.points_unit, example.markup, OBLIQUE, _CELL_PX), left, top - 2 * step)
        for row, label in enumerate(("photo", "volume", "3D shape")):
            _text(axes, margin / 2, top - row * step - 0.5, label, va="center", size=9, rotation=90)
    return figure


FIGURES: dict[str, Callable[[Sequence[Example]], Any]] = {"2": figure_2, "4": figure_4, "5": figure_5}
"""By their number in the paper."""


def _first_of(examples: Sequence[Example]) -> Example:
    if not examples:
        raise ValueError("a figure needs at least one face")
    first = examples[0]
    for example in examples:
        if [v.shape for v in example.volumes] != [v.shape for v in first.volumes]:
            raise ValueError(f"{example.name}: its volumes differ in size from those of {first.name}; use one network")
    return first


def _canvas(width: float, height: float, above: float, below: float, caption: str) -> tuple[Any, Any]:
    """A figure for ``width`` × ``height`` cells, with margins (in cells) and the caption below.

    Axes are in cells: (0, 0) is the upper left corner of the pictures, and y points up.
    """
    side = 0.06
    inches = (width + 2 * side) * _CELL_INCH
    # 8-point letters are about 0.058 inches wide on average.
    lines = textwrap.wrap(caption, max(20, int((inches - 0.25) / 0.058)))
    total = (height + above + below) * _CELL_INCH
    text = len(lines) * 0.142 + 0.12
    figure = import_figure()(figsize=(inches, total + text), dpi=_DPI)
    axes = figure.add_axes((0, text / (total + text), 1, total / (total + text)))
    axes.set_xlim(-side, width + side)
    axes.set_ylim(-height - below, above)
    axes.axis("off")
    figure.text(side * _CELL_INCH / inches, text / (total + text), "\n".join(lines), va="top", size=8, color=_INK)
    return figure, axes


def _show(axes: Any, picture: Image, left: float, top: float, side: float = 1.0) -> None:
    axes.imshow(picture, extent=(left, left + side, top - side, top), aspect="auto", interpolation="antialiased")


def _text(axes: Any, x: float, y: float, text: str, va: str = "baseline", size: float = 8, rotation: float = 0) -> None:
    axes.text(x, y, text, ha="center", va=va, size=size, color=_INK, rotation=rotation, linespacing=1.15)


def _head(axes: Any, x: float, upper: str, lower: str) -> None:
    """Two lines of heading above a picture. They are separate texts, because descenders would shift a joint one."""
    _text(axes, x, 0.17, upper)
    _text(axes, x, 0.06, lower)


def _glyph(axes: Any, left: float, middle: float, width: float, tapering: bool) -> None:
    """An hourglass, or the shrinking blocks of strided convolutions, between two arrows."""
    body, wide, narrow = width * 0.62, 0.26, 0.09
    x0 = left + (width - body) / 2
    x1 = x0 + body
    if tapering:
        for x, high in zip(np.linspace(x0, x1, 4, endpoint=False), np.linspace(wide, narrow, 4), strict=True):
            axes.fill_between([x, x + body * 0.18], middle - high, middle + high, color=_ACCENT, lw=0)
    else:
        axes.fill_between(
            [x0, (x0 + x1) / 2, x1],
            [middle - wide, middle - narrow, middle - wide],
            [middle + wide, middle + narrow, middle + wide],
            color=_ACCENT,
            lw=0,
        )
    arrow = {"arrowstyle": "->", "color": _INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
    for start, end in ((left, x0 - 0.02), (x1 + 0.02, left + width)):
        axes.annotate("", (end, middle), (start, middle), arrowprops=arrow)


def _bracket(axes: Any, left: float, right: float, y: float, label: str) -> None:
    axes.plot([left, left, right, right], [y + 0.05, y, y, y + 0.05], color=_INK, lw=0.8)
    _text(axes, (left + right) / 2, y - 0.03, label, va="top", size=8)


def _show_one_a_landmark(axes: Any, example: Example, points: Points, left: float, top: float) -> None:
    """Three of the N volumes with one Gaussian each, stacked one behind the other, then dots."""
    shape = example.volumes[-1].shape
    chosen = np.linspace(0, len(points) - 1, 3).round().astype(int)
    side, shift = 0.52, 0.2
    for order, index in enumerate(chosen.tolist()):
        volume = rasterise(unit_to_vox(points[index : index + 1], shape), shape)
        picture = draw_volume(volume, OBLIQUE, _CELL_PX // 2, z_range_unit=depth_range(points))
        # Make the white background transparent, so that the cube behind stays visible.
        alpha = np.where((picture > 250).all(axis=2), 0, 255).astype(np.uint8)
        _show(axes, np.dstack([picture, alpha]), left + order * shift, top - order * shift, side)
    for away in (0.0, 0.03, 0.06):
        axes.plot(left + 0.92 + away, top - 0.93 - away, ".", ms=2.5, color=_INK)


def _with_landmarks(example: Example, points_unit: Points) -> Image:
    return draw_crop(example.crop_rgb, unit_to_crop(points_unit, len(example.crop_rgb)), example.markup, _CELL_PX)


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
