"""One shard: a part of the plan that is computed as a whole, by any process on any machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from jvcr.batch import schema
from jvcr.batch.plan import Plan, check_number, read_listing, read_plan, shard_name
from jvcr.batch.reading import Reader, ReadPhoto, reason
from jvcr.batch.settings import open_landmarker
from jvcr.batch.sheet import Sheet
from jvcr.batch.store import Store, sha256
from jvcr.io.inputs import check_boxes
from jvcr.landmarker import Landmarker
from jvcr.results import Face

DONE, ASIDE = "done", "aside"
"""Folders with one file a shard: of those that are done, with checksums; and of those that were given up."""

_PASS_PIXELS = 50_000_000
"""Photos of one pass have no more pixels than this together, unless it is a single photo."""


class Counts(NamedTuple):
    """Of a shard, or of several."""

    photos: int = 0
    faces: int = 0
    errors: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sum."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class ShardTables(NamedTuple):
    """What was computed, as files: Parquet, and the contact sheet as JPEG (b"" without photos on it)."""

    faces: bytes
    photos: bytes
    times: bytes
    sheet: bytes
    counts: Counts


@dataclass(frozen=True)
class Shard:
    """A shard of a plan. It holds two names, so it can be pickled and sent anywhere that can open source and results.

    Args:
        out: folder or URL of the results, with the plan.
        number: of the shard, from 0.

    Example, for an engine of your own::

        for shard in Shard.pending("s3://results/run7"):
            submit(shard.run)
    """

    out: str
    number: int

    @classmethod
    def pending(cls, out: str) -> Iterator[Shard]:
        """The shards that are neither done nor set aside."""
        store = Store(out)
        gone = {name.partition(".")[0] for folder in (DONE, ASIDE) for name in store.names(folder)}
        for number in range(read_plan(store).shards):
            if shard_name(number) not in gone:
                yield cls(out, number)

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return shard_name(self.number)

    def run(
        self,
        landmarker: Landmarker | None = None,
        *,
        draw_every: int = 0,
        on_photo: Callable[[Counts], object] | None = None,
    ) -> Counts:
        """Compute the shard, and write its files: the tables first, the mark that it is done last.

        Each file appears whole, and two runs write the same bytes, so it may be killed, repeated, or run twice at once.

        Args:
            landmarker: by default, the plan's own, which the process keeps.
            draw_every: draw every so many photos of the plan on a contact sheet; 0 draws none.
            on_photo: called after every photo with its counts.
        Raises:
            OSError: the results cannot be written. ValueError: no such shard; other weights than the plan's.
        """
        store = Store(self.out)
        plan = read_plan(store)
        check_number(plan, self.number)
        tables = self.compute(store, plan, landmarker, draw_every=draw_every, on_photo=on_photo)
        if tables.sheet:
            store.write(f"sheets/{self.name}.jpg", tables.sheet)
        store.write(f"times/{self.name}.parquet", tables.times)
        mark: dict[str, Any] = {"shard": self.number, **tables.counts._asdict(), "files": {}}
        for folder, data in (("photos", tables.photos), ("faces", tables.faces)):
            store.write(f"{folder}/{self.name}.parquet", data)
            mark["files"][folder] = {"bytes": len(data), "sha256": sha256(data)}
        store.write(f"{DONE}/{self.name}.json", (json.dumps(mark) + "\n").encode())
        return tables.counts

    def compute(
        self,
        store: Store,
        plan: Plan,
        landmarker: Landmarker | None = None,
        *,
        draw_every: int = 0,
        on_photo: Callable[[Counts], object] | None = None,
    ) -> ShardTables:
        """Compute the shard without writing it; arguments as in ``run``."""
        settings = plan.settings
        landmarker = open_landmarker(settings) if landmarker is None else landmarker
        photo_rows: list[dict[str, Any]] = []
        face_rows: list[dict[str, Any]] = []
        time_rows: list[dict[str, Any]] = []
        total = Counts()
        reader = Reader(plan.source, settings.max_pixels, settings.time_limit_s)
        with Sheet() as sheet:
            for photos in _passes(reader.read(read_listing(store, plan, self.number)), settings.photos_per_pass):
                started = time.monotonic()
                found = _predict(landmarker, photos)
                predict_ms = 1000 * (time.monotonic() - started) / len(photos)
                for read, faces in zip(photos, found, strict=True):
                    key: dict[str, Any] = {"photo_index": read.index, "photo": _text(read.photo.id)}
                    size = (None, None) if read.image is None else read.image.shape[:2]
                    photo_rows.append(
                        key
                        | {"bytes": read.encoded_bytes, "height": size[0], "width": size[1]}
                        | {"faces": len(faces), "error": None if read.error is None else _text(read.error)}
                    )
                    face_rows += [
                        schema.face_row(read.index, _text(read.photo.id), number, face, settings.fingerprint)
                        for number, face in enumerate(faces)
                    ]
                    time_rows.append({"photo_index": read.index, "read_ms": read.read_ms, "predict_ms": predict_ms})
                    if draw_every and read.index % draw_every == 0 and read.image is not None:
                        sheet.add(read.image, faces)
                    counts = Counts(1, len(faces), int(read.error is not None))
                    total = total.plus(counts)
                    if on_photo is not None:
                        on_photo(counts)
            return ShardTables(
                schema.to_parquet(face_rows, schema.face_schema()),
                schema.to_parquet(photo_rows, schema.photo_schema()),
                schema.to_parquet(time_rows, schema.time_schema()),
                sheet.to_jpeg(),
                total,
            )


def _passes(read: Iterator[ReadPhoto], most: int) -> Iterator[list[ReadPhoto]]:
    """Photos in groups that depend on the photos alone, so that rounding does not depend on the engine."""
    group: list[ReadPhoto] = []
    pixels = 0
    for one in read:
        more = 0 if one.image is None else one.image.shape[0] * one.image.shape[1]
        if group and (len(group) == most or pixels + more > _PASS_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(one)
        pixels += more
    if group:
        yield group


def _predict(landmarker: Landmarker, photos: list[ReadPhoto]) -> list[list[Face]]:
    """The faces of each photo; [] and an error for one that fails."""
    for read in photos:
        if read.image is not None and read.boxes is not None:
            try:
                check_boxes(read.boxes, read.image)
            except ValueError as error:
                read.error = reason(error, read.photo)
    results: dict[int, list[Face]] = {}
    for given in (False, True):
        of_kind = [
            read
            for read in photos
            if read.image is not None and read.error is None and (read.boxes is not None) is given
        ]
        if of_kind:
            results |= zip((read.index for read in of_kind), _together(landmarker, of_kind, given), strict=True)
    return [results.get(read.index, []) for read in photos]


def _together(landmarker: Landmarker, photos: list[ReadPhoto], given: bool) -> list[list[Face]]:
    images = [read.image for read in photos if read.image is not None]
    boxes = [read.boxes or [] for read in photos] if given else None
    try:
        return list(landmarker.predict_many(images, boxes, batch_size=len(images)))
    except (ValueError, RuntimeError, ArithmeticError) as error:
        if len(photos) == 1:
            photos[0].error = reason(error, photos[0].photo).removeprefix("image 0: ")
            return [[]]
        # One photo must not stop the others.
        return [_together(landmarker, [read], given)[0] for read in photos]


def _text(text: str) -> str:
    """Valid UTF-8: names of files may be none."""
    return text.encode("utf-8", "backslashreplace").decode()
