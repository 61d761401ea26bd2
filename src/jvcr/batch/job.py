"""A batch from start to end: plan or go on, run an engine, keep count."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from jvcr.batch.events import Event, EventKind, Notify
from jvcr.batch.local import run_here, run_processes
from jvcr.batch.plan import PLAN, Plan, draft, make_plan, read_plan, shard_name
from jvcr.batch.schema import import_arrow
from jvcr.batch.settings import Settings
from jvcr.batch.shard import ASIDE, DONE, Counts, Shard
from jvcr.batch.source import list_photos
from jvcr.batch.store import Store, is_url, sha256
from jvcr.files import open_regular
from jvcr.io.boxes import GivenBoxes

_READERS = 16
"""Marks that are read at a time."""


class Engine(StrEnum):
    """``PROCESSES``: on this machine. ``RAY``: a cluster (extra ``ray``). ``HERE``: this process alone."""

    PROCESSES = "processes"
    RAY = "ray"
    HERE = "here"


class TooManyErrors(ValueError):
    """More photos failed than the run allows."""


@dataclass
class Tally:
    """What is done and what is left. total: photos and shards of the plan. done: by whom ever. aside: shards."""

    plan: Plan
    done: Counts = field(default_factory=Counts)
    shards: int = 0
    aside: int = 0


def prepare(
    given: str,
    out: str,
    settings: Settings,
    photos_per_shard: int,
    *,
    boxes: str = "",
    image_column: str = "",
    id_column: str = "",
) -> Plan:
    """The plan of these results: the one that exists, if it is the same, or a new one.

    Args:
        boxes: a file of boxes (JSON or CSV, as in ``jvcr predict``), or a column of a Parquet source.
    Raises:
        ValueError: the plan differs, and how; or there are no photos. MissingExtra: pyarrow is not installed.
    """
    import_arrow()
    store = Store(out)
    inside = not is_url(given) and Path(given).is_dir() and store.folder is not None
    if inside and store.folder.resolve() == Path(given).resolve():  # type: ignore[union-attr]
        raise ValueError(f"OUT {out} is the folder of the photos; choose another place")
    column, box_file = ("", Path(boxes)) if boxes and Path(boxes).suffix else (boxes, None)
    boxes_sha256 = ""
    if box_file is not None:
        with open_regular(box_file) as file:
            boxes_sha256 = sha256(file.read())
    columns = {"image_column": image_column, "id_column": id_column, "box_column": column}
    if store.has(PLAN):
        plan = read_plan(store)
        found = plan.source.to_dict()
        source = plan.source.__class__(
            given=given if is_url(given) else str(Path(given).absolute()),
            kind=found["kind"],
            # A column that is not named is the one that was found.
            **{name: value or ("" if name == "box_column" else found[name]) for name, value in columns.items()},
        )
        if different := plan.differences(draft(source, settings, photos_per_shard, boxes_sha256)):
            raise ValueError(
                f"{store.name_of(PLAN)}: results of other settings are here:\n  "
                + "\n  ".join(different)
                + "\nGive the settings of the plan to go on, or choose another OUT."
            )
        return plan
    for folder in (DONE, "faces", "photos"):
        if store.names(folder):
            raise ValueError(f"{store.name_of(folder)}: holds files, but there is no {PLAN}; choose another OUT")
    given_boxes = None if box_file is None else GivenBoxes.read(box_file)
    listing = list_photos(given, boxes=given_boxes, **columns)
    return make_plan(store, listing, settings, photos_per_shard, boxes_sha256)


def tally(store: Store, plan: Plan) -> Tally:
    """Count what is done, from the marks of the shards.

    Raises:
        ValueError: a mark is damaged.
    """
    result = Tally(plan, aside=len(store.names(ASIDE)))
    # On an object store, each takes a while to arrive.
    with ThreadPoolExecutor(_READERS) as pool:
        marks = list(pool.map(lambda name: read_mark(store, name), store.names(DONE)))
    for mark in marks:
        result.done = result.done.plus(Counts(mark["photos"], mark["faces"], mark["errors"]))
        result.shards += 1
    return result


def read_mark(store: Store, name: str) -> dict[str, Any]:
    """The mark of a shard that is done: counts, and bytes and SHA-256 of its files.

    Raises:
        ValueError: it is damaged.
    """
    try:
        mark: dict[str, Any] = json.loads(store.read(f"{DONE}/{name}"))
        Counts(mark["photos"], mark["faces"], mark["errors"])
        dict(mark["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{store.name_of(f'{DONE}/{name}')}: damaged ({error}); delete it, and its shard is computed again"
        ) from None
    return mark


def retry(store: Store) -> int:
    """Take back the shards that were set aside. Returns how many."""
    names = store.names(ASIDE)
    for name in names:
        store.remove(f"{ASIDE}/{name}")
    return len(names)


def run(
    out: str,
    notify: Notify,
    *,
    engine: Engine = Engine.PROCESSES,
    workers: int = 0,
    draw_every: int = 0,
    max_errors: int | None = None,
    address: str = "",
    cpus: float = 1.0,
    gpus: float = 0.0,
) -> Tally:
    """Compute the shards that are left.

    Args:
        notify: is told what happens.
        workers: 0: as many as there are cores, or as the cluster has room for.
        max_errors: end the run when more photos have failed, those of earlier runs included; None: no limit.
        address, cpus, gpus: of Ray: the cluster, and what an actor takes.
    Raises:
        TooManyErrors: see ``max_errors``. EngineError: the engine cannot work; shards that are done stay.
    """
    store = Store(out)
    plan = read_plan(store)
    before = tally(store, plan)
    # Errors of shards in hand count at once; those of a shard that is computed again count once.
    in_hand: dict[int, int] = {}
    errors = before.done.errors

    def check() -> None:
        if max_errors is not None and errors + sum(in_hand.values()) > max_errors:
            raise TooManyErrors(
                f"{errors + sum(in_hand.values())} photos failed, more than --max-errors {max_errors}; the reasons are "
                "in photos/ (`jvcr batch report OUT`) and run.log. Shards that are done stay"
            )

    def told(event: Event) -> None:
        nonlocal errors
        if event.kind is EventKind.PHOTO:
            in_hand[event.shard] = in_hand.get(event.shard, 0) + event.counts.errors
        else:
            in_hand.pop(event.shard, None)
            errors += event.counts.errors
        notify(event)
        check()

    check()
    shards: Iterable[int] = (shard.number for shard in Shard.pending(out))
    if engine is Engine.HERE:
        run_here(out, shards, told, draw_every=draw_every)
    elif engine is Engine.RAY:
        from jvcr.batch.ray import run_ray

        run_ray(out, shards, told, address=address, actors=workers, cpus=cpus, gpus=gpus, draw_every=draw_every)
    else:
        stall_s = 300 + 4 * plan.settings.time_limit_s
        run_processes(out, shards, told, workers=workers, stall_s=stall_s, draw_every=draw_every)
    return tally(store, plan)


def missing_shards(store: Store, plan: Plan) -> list[int]:
    """Shards that are not done."""
    done = {name.partition(".")[0] for name in store.names(DONE)}
    return [number for number in range(plan.shards) if shard_name(number) not in done]
