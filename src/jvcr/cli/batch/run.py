"""``jvcr batch run``."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import typer

from jvcr.batch.job import Engine, prepare, retry, tally
from jvcr.batch.job import run as run_job
from jvcr.batch.progress import Watch, shown
from jvcr.batch.settings import Settings
from jvcr.batch.store import Store
from jvcr.cli.console import fail, log
from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    MinScoreOption,
    MirrorOption,
    PrecisionOption,
    RefineOption,
    WeightsOption,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.images import MAX_PIXELS
from jvcr.landmarker import MIN_SCORE
from jvcr.runtime.backends import Backend


def run(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder (any depth), glob, text file of paths, .tar or .parquet files, or a URL of one of these."
        ),
    ],
    out: Annotated[str, typer.Argument(help="Folder or URL for the results. With a plan in it, the run goes on.")],
    boxes: Annotated[
        str | None,
        typer.Option(help="Landmark boxes: a JSON or CSV file as in `jvcr predict`, or a column of Parquet files."),
    ] = None,
    image_column: Annotated[
        str, typer.Option(help="Parquet: the column with encoded images or paths. Default: guessed from the names.")
    ] = "",
    id_column: Annotated[
        str, typer.Option(help="Parquet: the column that names photos. Default: guessed from the names.")
    ] = "",
    shard: Annotated[
        int, typer.Option("--shard", min=1, help="Photos per shard: what a kill loses at most, for each worker.")
    ] = 1000,
    engine: Annotated[
        Engine, typer.Option(help="processes on this machine, a ray cluster (extra: ray), or here (one process).")
    ] = Engine.PROCESSES,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes or actors; 0: one per core, or as many as fit the cluster.")
    ] = 0,
    address: Annotated[str, typer.Option(help="Ray: address of the cluster, for example auto.")] = "",
    cpus: Annotated[float, typer.Option(min=0, help="Ray: CPUs per actor.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="Ray: GPUs per actor.")] = 0.0,
    draw_every: Annotated[
        int, typer.Option(min=0, help="Draw every N-th photo on a contact sheet per shard; 0 draws none.")
    ] = 0,
    max_errors: Annotated[
        int | None, typer.Option(min=0, help="Stop when more photos have failed. Default: no limit.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=0.1, help="Give up a photo that takes longer to read and decode, seconds.")
    ] = 60.0,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger photos (width × height).")] = MAX_PIXELS,
    weights: WeightsOption = "small",
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    min_score: MinScoreOption = MIN_SCORE,
    refine: RefineOption = True,
    mirror: MirrorOption = True,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
    per_pass: Annotated[
        int, typer.Option(min=1, help="Photos that share forward passes. More are faster on a GPU, not on a CPU.")
    ] = 8,
    try_again: Annotated[
        bool, typer.Option("--retry", help="Try shards again that an earlier run has set aside.")
    ] = False,
) -> None:
    """Find faces and predict their landmarks in very many photos. Results are Parquet shards (docs/batch.md).

    The same command goes on after an interruption. Photos that fail are rows with a reason; the exit code is 1 only if
    shards were set aside.
    """
    settings = Settings.of(
        weights=weights,
        detector=detector.value,
        detect_size=detect_size,
        min_score=min_score,
        refine=refine,
        mirror=mirror,
        backend=backend.value,
        device=device,
        precision=precision,
        batch_size=per_pass,
        photos_per_pass=per_pass,
        max_pixels=max_pixels,
        time_limit_s=time_limit,
    )
    plan = prepare(source, out, settings, shard, boxes=boxes or "", image_column=image_column, id_column=id_column)
    store = Store(out)
    if try_again:
        retry(store)
    before = tally(store, plan)
    log.print(
        f"{plan.photos:,} photos in {plan.shards:,} shards, {before.shards:,} of them done already", highlight=False
    )
    watch = Watch(before)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with shown(watch, store, log) as told:
            after = run_job(
                out,
                told,
                engine=engine,
                workers=workers,
                draw_every=draw_every,
                max_errors=max_errors,
                address=address,
                cpus=cpus,
                gpus=gpus,
            )
    except KeyboardInterrupt:
        fail(f"interrupted: {watch.line()}; the same command goes on")
        raise typer.Exit(130) from None
    log.print(
        f"done: {after.done.photos:,} photos, {after.done.faces:,} faces, {after.done.errors:,} photos with an error",
        highlight=False,
    )
    if after.aside:
        fail(f"{after.aside} shards were set aside; the reasons are in {store.name_of('aside')}. --retry tries again")
        raise typer.Exit(1)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
