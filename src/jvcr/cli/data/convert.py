"""``jvcr data convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.data.reader_options import reader_options
from jvcr.cli.data.storing import check_folder, store
from jvcr.extras import missing


def convert(
    format: Annotated[
        str, typer.Argument(help="aflw2000-3d, 300w-lp, 3dfaw, authors-json, pts, coco, csv, npz or table.")
    ],
    root: Annotated[Path, typer.Argument(help="Folder (or file) of the data set.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist yet.")],
    option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE option of the format's reader (docs/datasets.md); may be repeated."),
    ] = None,
    size: Annotated[int, typer.Option(help="Maximum length of the longer side of a stored image, pixels.")] = 384,
    margin: Annotated[
        float, typer.Option(help="Side of the stored square, divided by that of the landmark box.")
    ] = 2.4,
    image_format: Annotated[str, typer.Option(help="webp, jpeg, png, or original (the files' bytes, uncut).")] = "webp",
    quality: Annotated[int, typer.Option(help="WebP and JPEG quality, 1 to 100.")] = 92,
    shard_mb: Annotated[float, typer.Option(help="Approximate size of a tar file, MB.")] = 256.0,
    split: Annotated[
        str,
        typer.Option(help="auto (the data set's own split, else by hash), hash (of the group), or one split for all."),
    ] = "auto",
    val_share: Annotated[float, typer.Option(help="Share of groups that the hash assigns to val.")] = 0.05,
    on_bad: Annotated[
        str,
        typer.Option(
            help="Samples that cannot be read or lack landmarks: skip (exit code 1 at the end), accept (skip, exit "
            "code 0) or stop (write nothing)."
        ),
    ] = "skip",
    keep_incomplete: Annotated[
        bool, typer.Option(help="Also store samples without depth or with unmarked landmarks; training refuses them.")
    ] = False,
) -> None:
    """Write a data set as a training table: labels.npz and tar files, for `jvcr train --data OUT`.

    It stores a crop of each face with its surroundings, so that training does not read the whole photos.
    """
    try:
        from jvcr.data import convert as converting
        from jvcr.data.formats.readers import read_samples
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    if on_bad not in ("skip", "accept", "stop"):
        raise ValueError(f"--on-bad {on_bad} is unknown; expected skip, accept or stop")
    options = reader_options(option or [])
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
    check_folder(out, [root, *map(Path, options.values())])
    samples = read_samples(format, root, **options)
    about = {"format": format, "root": str(root.resolve()), "options": options}
    store(samples, out, storage, about, strict=on_bad == "skip")
