"""``jvcr data``: data sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jvcr.cli.console import log
from jvcr.cli.data_check import check
from jvcr.extras import missing

if TYPE_CHECKING:
    from jvcr.data.convert import Storage
    from jvcr.data.reading import Samples

app = typer.Typer(help="Data sets: convert, turn, check.", no_args_is_help=True)
_LISTED = 10


app.command()(check)


@app.callback()
def _data() -> None:
    """Data sets: convert, turn, check."""


@app.command()
def convert(
    format: Annotated[
        str, typer.Argument(help="aflw2000-3d, 300w-lp, 3dfaw, authors-json, pts, coco, csv, npz or table.")
    ],
    root: Annotated[Path, typer.Argument(help="Folder (or file) of the data set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not be there yet.")],
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE of the format's reader (docs/datasets.md); may be repeated.")
    ] = None,
    size: Annotated[int, typer.Option(help="Longer side of a stored image at most, pixels.")] = 384,
    margin: Annotated[float, typer.Option(help="Side of the stored square over the landmark box.")] = 2.4,
    image_format: Annotated[str, typer.Option(help="webp, jpeg, png, or original (the files' bytes, uncut).")] = "webp",
    quality: Annotated[int, typer.Option(help="Of WebP and JPEG, 1 to 100.")] = 92,
    shard_mb: Annotated[float, typer.Option(help="Size of a tar file, about.")] = 256.0,
    split: Annotated[
        str, typer.Option(help="auto (the data set's own, else hash), hash (of the group), or one split for all.")
    ] = "auto",
    val_share: Annotated[float, typer.Option(help="Share of groups that the hash gives to val.")] = 0.05,
    on_bad: Annotated[
        str,
        typer.Option(
            help="A sample that cannot be read or lacks landmarks: skip (exit code 1 at the end), accept (skip, exit "
            "code 0) or stop (write nothing)."
        ),
    ] = "skip",
    keep_incomplete: Annotated[
        bool, typer.Option(help="Store samples without depth or with unmarked landmarks too; training refuses them.")
    ] = False,
) -> None:
    """Write a data set as a training table: labels.npz and tar files, for `jvcr train --data OUT`.

    Crops of each face with its surroundings are stored, so that training need not read the whole photos.
    """
    try:
        from jvcr.data import convert as converting
        from jvcr.data.formats.readers import read_samples
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    if on_bad not in ("skip", "accept", "stop"):
        raise ValueError(f"--on-bad {on_bad} is unknown; expected skip, accept or stop")
    options = _options(option or [])
    storage = converting.Storage(
        size_px=size,
        margin=margin,
        image_format=image_format,  # type: ignore[arg-type]
        quality=quality,
        shard_mb=shard_mb,
        split=split,
        val_share=val_share,
        on_bad="stop" if on_bad == "stop" else "skip",
        keep_incomplete=keep_incomplete,
    )
    samples = read_samples(format, root, **options)
    about = {"format": format, "root": str(root.resolve()), "options": options}
    _store(samples, out, storage, about, strict=on_bad == "skip")


@app.command()
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
    samples = turned_samples(table, wanted, per_face, seed)
    about = {"turned": str(table.resolve()), "sources": wanted, "per_face": per_face, "seed": seed}
    _store(samples, out, Storage(), about, strict=True)


def _store(samples: Samples, out: Path, storage: Storage, about: dict[str, Any], strict: bool) -> None:
    """Write a table and say what came of it; exit code 1 where ``strict`` and samples were left out."""
    from jvcr.data.convert import convert as write_table

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("faces"), TimeRemainingColumn())
    with Progress(*columns, console=log) as progress:
        task = progress.add_task("", total=len(samples))
        done = write_table(samples, out, storage, about, lambda: progress.advance(task))
    for note in done.notes:
        log.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for skipped in done.skipped[:_LISTED]:
        log.print(f"left out: {skipped}", markup=False, highlight=False, soft_wrap=True)
    if len(done.skipped) > _LISTED:
        log.print(f"left out: {len(done.skipped) - _LISTED} more, all named in {out / 'convert.json'}", highlight=False)
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    bad = f"; {len(done.skipped)} left out" if done.skipped else ""
    typer.echo(f"→ {out}: {splits}; {done.image_bytes / 1e6:.1f} MB in {done.shards} tar files{bad}")
    if done.skipped and strict:
        raise typer.Exit(1)


def _options(pairs: list[str]) -> dict[str, str]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--option {pair}: expected KEY=VALUE, e.g. --option base=0")
        options[key.strip().replace("-", "_")] = value
    if len(options) < len(pairs):
        twice = next(key for key, count in Counter(p.partition("=")[0] for p in pairs).items() if count > 1)
        raise ValueError(f"--option {twice} is given more than once")
    return options
