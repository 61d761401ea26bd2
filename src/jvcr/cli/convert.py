"""``jvcr convert``: results as files of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.console import log, printable
from jvcr.cli.options import OverwriteOption
from jvcr.io.exports import FORMATS, FormatName, PhotoFaces, format_of, write_export
from jvcr.io.outputs import ExistingResults, check_outputs, spelling
from jvcr.io.read_results import read_results
from jvcr.markups.file import markup_from


def convert(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS.jsonl", help="JSON lines of `jvcr predict` or `jvcr video`.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write; its ending is the format. With several photos and a format that holds one, a folder.",
        ),
    ],
    form: Annotated[
        FormatName | None, typer.Option("--format", help="Format, if OUT is a folder or has another ending.")
    ] = None,
    markup: Annotated[
        str | None, typer.Option(help="Markup file of the landmarks, if the markup is not a built-in one.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Convert results to OBJ, PLY, GLB, CSV, Parquet, COCO keypoints, .pts, predictions (NPZ) or dlib's XML.

    Axes, pixel base and units of each format are in docs/exports.md.
    """
    name = form or _format(out)
    FORMATS[name].needs()
    own_markup = Path(markup) if markup is not None and Path(markup).exists() else None
    # Before anything is read: an output that is an input must not be.
    _check([("OUT", out)] if _is_file(name, out) else [], [results, own_markup], overwrite)
    photos = read_results(results, markup_from(markup) if markup is not None else None)
    work = plan(name, out, photos)
    if not work:
        raise ValueError(f"{results}: holds no face; a {FORMATS[name].ending} file needs one")
    _check([("OUT", path) for path, _ in work], [results, own_markup], overwrite)
    for path, some in work:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_export(path, some, name)
        typer.echo(f"→ {printable(str(path))}")
    report_left_out(name, photos)


def plan(name: FormatName, out: Path, photos: Sequence[PhotoFaces]) -> list[tuple[Path, Sequence[PhotoFaces]]]:
    """The files to write, with the photos of each.

    Raises:
        ValueError: several photos, a format that holds one, and ``out`` is a file's name.
    """
    form = FORMATS[name]
    if form.many is not None:
        return [(out, photos)]
    # A file of one face is not written for a photo without one.
    photos = [photo for photo in photos if photo.faces or not form.best_only]
    if out.name.lower().endswith(form.ending):
        if len(photos) > 1:
            raise ValueError(
                f"{out}: the results hold {len(photos)} photos or frames, and a {form.ending} file holds one; give a "
                f"folder: jvcr convert RESULTS.jsonl FOLDER --format {name}"
            )
        return [(out, photos)] if photos else []
    used: set[str] = set()
    work: list[tuple[Path, Sequence[PhotoFaces]]] = []
    for photo in photos:
        # Backslashes separate folders in results that were made on Windows.
        stem = photo.image if photo.frame is not None else Path(photo.image.replace("\\", "/")).stem or "photo"
        unique, number = stem, 2
        while spelling(unique) in used:
            unique, number = f"{stem}_{number}", number + 1
        used.add(spelling(unique))
        work.append((out / f"{unique}{form.ending}", [photo]))
    return work


def report_left_out(name: FormatName, photos: Sequence[PhotoFaces]) -> None:
    """Say on stderr how many faces a format of one face a photo does not hold."""
    left_out = sum(max(0, len(photo.faces) - 1) for photo in photos)
    if FORMATS[name].best_only and left_out:
        log.print(
            f"{left_out} face{'' if left_out == 1 else 's'} left out: {FORMATS[name].ending} holds the best-scoring "
            "face of each photo",
            highlight=False,
        )


def _format(out: Path) -> FormatName:
    if out.suffix == "":
        raise ValueError(f"{out}: has no ending; for a folder, give --format ({', '.join(FormatName)})")
    return format_of(out)


def _is_file(name: FormatName, out: Path) -> bool:
    return FORMATS[name].many is not None or out.name.lower().endswith(FORMATS[name].ending)


def _check(outputs: list[tuple[str, Path]], inputs: Sequence[Path | None], overwrite: bool) -> None:
    try:
        check_outputs(outputs, inputs, may_replace=overwrite)
    except ExistingResults as error:
        raise ValueError(
            f"{error}; nothing was written: replace it with --overwrite, or choose another place"
        ) from None
