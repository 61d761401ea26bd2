"""Check results against their plan: listings, checksums, counts, what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from jvcr.batch.job import read_mark
from jvcr.batch.plan import Plan, listing_name, shard_name, size_of_shard
from jvcr.batch.schema import from_parquet
from jvcr.batch.shard import ASIDE, DONE
from jvcr.batch.store import Store, sha256


class Fault(NamedTuple):
    """Something wrong with a shard, or with the plan (shard -1). redo: computing the shard again mends it."""

    shard: int
    text: str
    redo: bool


def verify(store: Store, plan: Plan) -> Iterator[Fault]:
    """Read every file and compare it with the plan. Shards that are not done yet are faults, too."""
    digest = hashlib.sha256()
    done, aside = set(store.names(DONE)), set(store.names(ASIDE))
    known = {f"{shard_name(number)}.json" for number in range(plan.shards)}
    yield from (Fault(-1, f"{DONE}/{name}: is of no shard of the plan", False) for name in sorted(done - known))
    for number in range(plan.shards):
        try:
            digest.update(store.read(listing_name(number)))
        except OSError as error:
            yield Fault(number, f"{listing_name(number)}: cannot be read ({error})", False)
        name = f"{shard_name(number)}.json"
        if name in done:
            yield from (Fault(number, text, True) for text in _faults(store, plan, number))
        else:
            yield Fault(number, "set aside" if name in aside else "not done", False)
    if digest.hexdigest() != plan.listing_sha256:
        yield Fault(-1, "the listings of the photos are not those of the plan (their SHA-256 differs)", False)


def redo(store: Store, faults: list[Fault]) -> int:
    """Take the marks of damaged shards away, so that the next run computes them again. Returns how many."""
    numbers = {fault.shard for fault in faults if fault.redo}
    for number in numbers:
        store.remove(f"{DONE}/{shard_name(number)}.json")
    return len(numbers)


def _faults(store: Store, plan: Plan, number: int) -> Iterator[str]:
    name = shard_name(number)
    try:
        mark = read_mark(store, f"{name}.json")
    except ValueError as error:
        yield str(error)
        return
    tables = {}
    for folder in ("photos", "faces"):
        file = f"{folder}/{name}.parquet"
        try:
            data = store.read(file)
        except OSError:
            yield f"{file}: missing"
            continue
        if sha256(data) != mark["files"].get(folder, {}).get("sha256"):
            yield f"{file}: its SHA-256 is not the one that was listed"
            continue
        columns = ["photo_index", "faces", "error"] if folder == "photos" else ["photo_index"]
        try:
            tables[folder] = from_parquet(data, columns)
        except ValueError as error:
            yield f"{file}: {error}"
    if len(tables) < 2:
        return
    first = number * plan.photos_per_shard
    expected = list(range(first, first + size_of_shard(plan, number)))
    if tables["photos"]["photo_index"].to_pylist() != expected:
        yield f"photos/{name}.parquet: its photos are not those of the plan, {expected[0]} to {expected[-1]}"
    faces = tables["photos"]["faces"].to_pylist()
    owners = [index for index, count in zip(expected, faces, strict=False) for _ in range(count)]
    if tables["faces"]["photo_index"].to_pylist() != owners:
        yield f"faces/{name}.parquet: its faces are not those that photos/ counts"
    errors = len(expected) - tables["photos"]["error"].null_count
    if (mark["photos"], mark["faces"], mark["errors"]) != (len(expected), len(owners), errors):
        yield f"{DONE}/{name}.json: its counts are not those of the tables"
