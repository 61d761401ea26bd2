"""The plan of a batch: which photos, in which order, in which shards, with which settings. Written before any work."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jvcr
from jvcr.batch import schema
from jvcr.batch.settings import Settings
from jvcr.batch.source import Listing, Photo, Source
from jvcr.batch.store import Store

PLAN = "plan.json"
LISTING = "plan"
"""Folder with the photos of each shard."""

_FORMAT = "jvcr batch"
_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """A batch.

    Attributes:
        photos, shards: how many. photos_per_shard: all shards but the last hold so many.
        listing_sha256: of the listings of all shards, one after the other.
        jvcr: version that made the plan; only the same version computes its shards.
        boxes_sha256: of a file of boxes; "" without.
    """

    source: Source
    settings: Settings
    photos: int
    shards: int
    photos_per_shard: int
    listing_sha256: str
    jvcr: str
    schema: int
    boxes_sha256: str = ""

    def to_json(self) -> bytes:
        """The file's content."""
        values = {
            "format": _FORMAT,
            "version": _VERSION,
            **{
                name: getattr(self, name)
                for name in (
                    "jvcr",
                    "schema",
                    "photos",
                    "shards",
                    "photos_per_shard",
                    "listing_sha256",
                    "boxes_sha256",
                )
            },
            "source": self.source.to_dict(),
            "settings": self.settings.to_dict(),
        }
        return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()

    def differences(self, other: Plan) -> list[str]:
        """What another plan's results would depend on, and is not the same here: one line each."""
        mine, theirs = (json.loads(plan.to_json()) for plan in (self, other))
        compared = ("jvcr", "schema", "photos_per_shard", "boxes_sha256")
        pairs = {name: (mine[name], theirs[name]) for name in compared}
        for part in ("source", "settings"):
            pairs |= {name: (mine[part][name], theirs[part][name]) for name in mine[part]}
        return [f"{name}: planned {old!r}, now {new!r}" for name, (old, new) in pairs.items() if old != new]


def make_plan(
    store: Store, listing: Listing, settings: Settings, photos_per_shard: int, boxes_sha256: str = ""
) -> Plan:
    """Write the listings of all shards, then the plan. Until then there is none, and the next run starts again."""
    photos, shards, digest = 0, 0, hashlib.sha256()
    while part := list(itertools.islice(listing.photos, photos_per_shard)):
        data = "".join(json.dumps(_to_list(photo), ensure_ascii=False) + "\n" for photo in part)
        encoded = data.encode("utf-8", "surrogateescape")
        store.write(listing_name(shards), encoded)
        digest.update(encoded)
        photos, shards = photos + len(part), shards + 1
    if not photos:
        raise ValueError(f"{listing.source.given}: holds no photos")
    plan = _drafted(listing.source, settings, photos_per_shard, boxes_sha256, photos, shards, digest.hexdigest())
    store.write(PLAN, plan.to_json())
    return plan


def draft(source: Source, settings: Settings, photos_per_shard: int, boxes_sha256: str = "") -> Plan:
    """A plan without photos, to compare with one that exists."""
    return _drafted(source, settings, photos_per_shard, boxes_sha256, 0, 0, "")


def read_plan(store: Store) -> Plan:
    """The plan of a folder of results.

    Raises:
        FileNotFoundError: there is none. ValueError: it is damaged, or of another version.
    """
    name = store.name_of(PLAN)
    if not store.has(PLAN):
        raise FileNotFoundError(f"{name}: no such file; expected the OUT of `jvcr batch SOURCE OUT`")
    try:
        values: dict[str, Any] = json.loads(store.read(PLAN))
        if values["format"] != _FORMAT or values["version"] != _VERSION:
            raise ValueError(f"format {values['format']!r}, version {values['version']}")
        names = Plan.__dataclass_fields__.keys() - {"source", "settings"}
        return Plan(
            source=Source(**values["source"]),
            settings=Settings(**values["settings"]),
            **{name: values[name] for name in names},
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{name}: is no plan that this version understands ({type(error).__name__}: {error}); expected one that "
            f"jvcr {jvcr.__version__} wrote"
        ) from None


def read_listing(store: Store, plan: Plan, number: int) -> Iterator[tuple[int, Photo]]:
    """The photos of a shard, with their indices in the plan."""
    lines = store.read(listing_name(number)).decode("utf-8", "surrogateescape").split("\n")[:-1]
    for row, line in enumerate(lines):
        name, path, place, boxes = json.loads(line)
        yield number * plan.photos_per_shard + row, Photo(name, path or name, tuple(place), boxes)


def size_of_shard(plan: Plan, number: int) -> int:
    """Photos of a shard."""
    return min(plan.photos_per_shard, plan.photos - number * plan.photos_per_shard)


def shard_name(number: int) -> str:
    """The name of a shard's files."""
    return f"shard-{number:07d}"


def listing_name(number: int) -> str:
    """Where the photos of a shard are listed."""
    return f"{LISTING}/{shard_name(number)}.jsonl"


def check_number(plan: Plan, number: int) -> None:
    """Raise ValueError unless the plan has this shard."""
    if not 0 <= number < plan.shards:
        raise ValueError(f"shard {number}: the plan has shards 0 to {plan.shards - 1}")


def _drafted(
    source: Source, settings: Settings, photos_per_shard: int, boxes: str, photos: int, shards: int, listing: str
) -> Plan:
    if photos_per_shard < 1:
        raise ValueError(f"photos_per_shard is {photos_per_shard}; expected at least 1")
    return Plan(
        source=source,
        settings=settings,
        photos=photos,
        shards=shards,
        photos_per_shard=photos_per_shard,
        listing_sha256=listing,
        jvcr=jvcr.__version__,
        schema=schema.VERSION,
        boxes_sha256=boxes,
    )


def _to_list(photo: Photo) -> list[Any]:
    return [photo.id, "" if photo.path == photo.id else photo.path, photo.place, photo.boxes]
