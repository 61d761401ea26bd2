"""``jvcr batch status``, ``verify`` and ``report``."""

from __future__ import annotations

from typing import Annotated

import typer

from jvcr.batch.job import tally
from jvcr.batch.page import page
from jvcr.batch.plan import read_plan
from jvcr.batch.store import Store
from jvcr.batch.verify import redo
from jvcr.batch.verify import verify as find_faults
from jvcr.cli.console import fail, log

OutArgument = Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of the results.")]


def status(out: OutArgument) -> None:
    """How much of a batch is done. The exit code is 0 when nothing is left."""
    store = Store(out)
    plan = read_plan(store)
    state = tally(store, plan)
    typer.echo(f"photos  {state.done.photos:,} of {plan.photos:,}")
    typer.echo(f"faces   {state.done.faces:,}")
    typer.echo(f"errors  {state.done.errors:,} photos")
    typer.echo(f"shards  {state.shards:,} of {plan.shards:,} done, {state.aside:,} set aside")
    if state.shards < plan.shards:
        raise typer.Exit(1)


def verify(
    out: OutArgument,
    again: Annotated[
        bool, typer.Option("--redo", help="Take damaged shards back, so that the next run computes them again.")
    ] = False,
) -> None:
    """Check all files of a batch: checksums, counts, what is missing. The exit code is 0 if all is there and sound."""
    store = Store(out)
    plan = read_plan(store)
    faults = list(find_faults(store, plan))
    for fault in faults:
        fail(f"plan: {fault.text}" if fault.shard < 0 else f"shard {fault.shard}: {fault.text}")
    if again and (count := redo(store, faults)):
        log.print(f"{count} shards were taken back; run `jvcr batch SOURCE OUT` again", highlight=False)
    if faults:
        raise typer.Exit(1)
    typer.echo(f"{plan.shards:,} shards of {plan.photos:,} photos: complete, and as they were written")


def report(out: OutArgument) -> None:
    """Write report.html into OUT: sizes, yaw, scores, errors, and a sheet of faces."""
    store = Store(out)
    store.write("report.html", page(store, read_plan(store)).encode())
    typer.echo(store.name_of("report.html"))
