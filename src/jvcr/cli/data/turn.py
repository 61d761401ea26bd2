"""``jvcr data turn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.data.storing import check_folder, store
from jvcr.extras import missing


def turn(
    table: Annotated[Path, typer.Argument(help="Folder of a training table with near-frontal faces of 68 points.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist yet.")],
    sources: Annotated[str, typer.Option(help="Turn rows of these sources, separated by commas.")],
    per_face: Annotated[int, typer.Option(help="Views per face.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the angles.")] = 0,
    closed_eyes: Annotated[bool, typer.Option("--closed-eyes", help="Only views whose near eye is closed.")] = False,
) -> None:
    """Render near-frontal training faces at yaws of up to 85°, with 3D landmarks, as a training table.

    The pictures are warped by the depth of their landmarks. Views that are stretched too much are rejected and counted.
    """
    try:
        from jvcr.data.convert import Storage
        from jvcr.data.turn.views import turned_samples
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    wanted = [source.strip() for source in sources.split(",") if source.strip()]
    check_folder(out, [table])
    samples = turned_samples(table, wanted, per_face, seed, closed_eyes)
    about = {"turned": str(table.resolve()), "sources": wanted, "per_face": per_face, "seed": seed}
    if closed_eyes:
        about["closed_eyes"] = True
    store(samples, out, Storage(), about, strict=True)
