"""``jvcr bench``: speed on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jvcr.bench.peer import ROUNDS, race, race_dict, race_table
from jvcr.bench.run import Timing, machine, run, to_dict, to_markdown
from jvcr.cli.console import log
from jvcr.cli.demo import astronaut
from jvcr.cli.options import WeightsOption, weights_file
from jvcr.files import write_text
from jvcr.images import Image, read_image
from jvcr.io.outputs import check_outputs


def bench(
    photo: Annotated[
        Path | None, typer.Option(help="Photo with one face. Default: the astronaut (extra: demo).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and bench.md.")] = None,
    weights: WeightsOption = "small",
    peer: Annotated[
        Path | None,
        typer.Option(
            help="Python of an environment with mediapipe 0.10.21: only compare with it, side by side on one core.",
            metavar="PYTHON",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Quick estimate: a tenth of the time, on one thread.")] = False,
) -> None:
    """Time backends, precisions, batches and threads, whole photos and video, and MediaPipe where it is installed.

    Run it on an otherwise idle machine. The table goes to stdout as Markdown; what cannot be measured is reported on
    stderr.
    """
    files = {"bench.md": out / "bench.md", "bench.json": out / "bench.json"} if out is not None else {}
    check_outputs(files, [photo, weights_file(weights)])
    image = astronaut() if photo is None else read_image(photo)
    if peer is not None:
        _compare(image, peer, weights, quick, files)
        return
    rows: list[Timing] = []
    for result in run(image, weights, quick):
        if isinstance(result, str):
            log.print(f"left out: {result}", highlight=False)
        else:
            rows.append(result)
            log.print(f"{result.what}: {result.ms['p50']:.4g} ms", highlight=False)
    about = machine()
    _show(to_markdown(rows, about), to_dict(rows, about), files)


def _compare(image: Image, python: Path, weights: str, quick: bool, files: dict[str, Path]) -> None:
    races = race(image, python, weights, 2 if quick else ROUNDS)
    about = machine()
    _show(race_table(races).to_markdown() + "\n", {"machine": about, "races": race_dict(races)}, files)


def _show(text: str, record: dict[str, Any], files: dict[str, Path]) -> None:
    typer.echo(text)
    if files:
        files["bench.md"].parent.mkdir(parents=True, exist_ok=True)
        write_text(files["bench.md"], text)
        write_text(files["bench.json"], json.dumps(record, indent=1))
