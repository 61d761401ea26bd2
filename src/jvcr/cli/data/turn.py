"""``jvcr data turn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.data.storing import check_folder, store
from jvcr.extras import missing


def turn(
    table: Annotated[Path, typer.Argument(help="Folder of a training table with near-frontal faces of 68 points.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there yet.")],
    sources: Annotated[str, typer.Option(help="Rows of these sources, separated by commas.")],
    per_face: Annotated[int, typer.Option(help="Views of each face.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the angles.")] = 0,
) -> None:
    """Turn near-frontal training faces to yaws of up to 85°: pictures and 3D landmarks, as a training table.

    The pictures are bent by the depth of their landmarks. Views with too much drawn out are rejected and counted.
    """
    try:
        from jvcr.data.convert import Storage
        from jvcr.data.turn.views import turned_samples
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    wanted = [source.strip() for source in sources.split(",") if source.strip()]
    check_folder(out, [table])
    samples = turned_samples(table, wanted, per_face, seed)
    about = {"turned": str(table.resolve()), "sources": wanted, "per_face": per_face, "seed": seed}
    store(samples, out, Storage(), about, strict=True)
