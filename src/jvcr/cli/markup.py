"""``jvcr markup``: check, draw or write a markup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from jvcr.frames import Box, middle_of
from jvcr.geometry import mean_head
from jvcr.images import write_image
from jvcr.io.outputs import check_outputs
from jvcr.markups.file import markup_from, write_markup
from jvcr.markups.markup import Markup
from jvcr.results import Face

_PICTURE_PX = 640


def markup(
    name: Annotated[str, typer.Argument(help="68, 66, 71, 21, 200 or a markup file (docs/markup.md).")],
    write: Annotated[
        Path | None, typer.Option(help="Write the markup to this TOML file, as a starting point for your own.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the markup on the mean head and write the picture.")] = None,
) -> None:
    """Check a markup and describe it."""
    check_outputs({"--write": write, "--draw": draw}, [name])
    found = markup_from(name)
    typer.echo(summary(found))
    if write is not None:
        if write.exists():
            raise ValueError(f"{write}: already exists; choose another --write")
        write_markup(write, found)
        typer.echo(f"→ {write}")
    if draw is not None:
        from jvcr.draw.landmarks import draw_faces

        face = mean_face(found)
        write_image(draw, draw_faces(np.full((_PICTURE_PX, _PICTURE_PX, 3), 250, np.uint8), [face], boxes=False))
        typer.echo(f"→ {draw}")


def summary(markup: Markup) -> str:
    """A few readable lines."""
    pairs = sum(i < partner for i, partner in enumerate(markup.mirror))
    first, second = (markup.labels[i] for i in markup.normaliser)
    return "\n".join(
        [
            f"{markup.name}: {markup.n_points} points{'' if markup.names else ' without names'}",
            f"  {pairs} mirror pairs, {markup.n_points - 2 * pairs} points on the middle line",
            f"  {len(markup.edges)} lines, {len(markup.groups)} groups",
            f"  normaliser: {first} to {second}",
            f"  made from: {', '.join(markup.derivations) or 'no other markup'}",
            f"  head pose: {'yes' if mean_head(markup) is not None else 'no'}",
        ]
    )


def mean_face(markup: Markup) -> Face:
    """The mean head, scaled to fill the picture.

    Raises:
        ValueError: the markup has none.
    """
    head = mean_head(markup)
    if head is None:
        raise ValueError(f"markup {markup.name!r} cannot be drawn: it does not say how it is made from 'ibug-68'")
    low, high = head.min(axis=0), head.max(axis=0)
    points = (head - (low + high) / 2) * (0.85 * _PICTURE_PX / (high - low)[:2].max())
    points[:, :2] += middle_of(_PICTURE_PX)
    points[:, 2] -= points[:, 2].mean()
    return Face(points.astype(np.float32), Box.around(points), 1.0, markup=markup)
