"""The report of a batch: one HTML page with sizes, yaw, scores, errors and a sheet of faces."""

from __future__ import annotations

import base64
import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.batch.job import Tally, tally
from jvcr.batch.plan import Plan, read_listing, shard_name
from jvcr.batch.reading import Reader
from jvcr.batch.schema import from_parquet
from jvcr.batch.shard import ASIDE, DONE
from jvcr.batch.sheet import jpeg
from jvcr.batch.source import Photo
from jvcr.batch.store import Store
from jvcr.draw.landmarks import draw_faces
from jvcr.frames import Box, Crop
from jvcr.images import extract
from jvcr.markups.markup import MARKUP_68
from jvcr.results import Face

_SHEET, _FACE_PX = 48, 128
_READ_SHARDS = 48
"""Faces come from at most so many shards, spread over the batch: each has to be listed again."""
_MOST_ERRORS = 30
_NUMBERS = re.compile(r"\d+")


class Histogram(NamedTuple):
    """Counts between edges; the last bin holds what lies above the edges, the first what lies below."""

    title: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    def plus(self, values: Any) -> Histogram:
        """With more values; NaN is not counted."""
        values = np.asarray(values, np.float64)
        values = np.clip(values[np.isfinite(values)], self.edges[0], np.nextafter(self.edges[-1], -np.inf))
        return self._replace(counts=self.counts + np.histogram(values, self.edges)[0])


def _empty(title: str, edges: Sequence[float]) -> Histogram:
    return Histogram(title, np.asarray(edges, np.float64), np.zeros(len(edges) - 1, np.int64))


@dataclass
class _Found:
    """What the tables of all shards hold."""

    photos: Histogram = field(
        default_factory=lambda: _empty("Longer side of the photos, pixels", [0, 160, 320, 640, 1280, 2560, 5120, 10240])
    )
    per_photo: Histogram = field(default_factory=lambda: _empty("Faces per photo", [0, 1, 2, 3, 4, 5, 10, 20, 50]))
    faces: Histogram = field(
        default_factory=lambda: _empty(
            "Longer side of the faces' boxes, pixels", [0, 12, 25, 50, 100, 200, 400, 800, 1600]
        )
    )
    yaw: Histogram = field(default_factory=lambda: _empty("Yaw, degrees", list(range(-90, 91, 15))))
    scores: Histogram = field(default_factory=lambda: _empty("Score", np.linspace(0, 1, 21).tolist()))
    errors: Counter[str] = field(default_factory=Counter)
    example_of: dict[str, str] = field(default_factory=dict)
    sheet: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


def page(store: Store, plan: Plan) -> str:
    """The page. Photos of the sheet are read again; those that are gone are left out."""
    numbers = [int(name.partition(".")[0].rpartition("-")[2]) for name in store.names(DONE)]
    chosen = set(numbers[:: max(1, len(numbers) // _READ_SHARDS)][:_READ_SHARDS])
    found = _Found()
    for number in numbers:
        _add(found, store, number, -(-_SHEET // len(chosen)) if number in chosen else 0)
    state = tally(store, plan)
    charts = "".join(_chart(h) for h in (found.photos, found.per_photo, found.faces, found.yaw, found.scores))
    pictures = "".join(_pictures(store, plan, found.sheet[:_SHEET]))
    body = (
        f"<h1>{_e(store.place)}</h1>{_summary(store, plan, state)}<div class='charts'>{charts}</div>"
        f"<h2>Errors</h2>{_errors(found)}<h2>Faces</h2><div class='faces'>{pictures or 'None.'}</div>"
    )
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{_e(store.place)}</title>"
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _add(found: _Found, store: Store, number: int, faces_for_sheet: int) -> None:
    file = f"{shard_name(number)}.parquet"
    photos = from_parquet(store.read(f"photos/{file}"), ["photo", "width", "height", "faces", "error"])
    columns = ["photo_index", "x0", "y0", "x1", "y1", "score", "yaw_deg", "landmarks", "markup"]
    faces = from_parquet(store.read(f"faces/{file}"), columns)
    sides = [photos[name].to_numpy().astype(np.float64) for name in ("width", "height")]
    found.photos = found.photos.plus(np.maximum(*sides))
    found.per_photo = found.per_photo.plus(photos["faces"].to_numpy())
    x0, y0, x1, y1 = (faces[name].to_numpy().astype(np.float64) for name in ("x0", "y0", "x1", "y1"))
    found.faces = found.faces.plus(np.maximum(x1 - x0, y1 - y0))
    found.yaw = found.yaw.plus(faces["yaw_deg"].to_numpy().astype(np.float64))
    found.scores = found.scores.plus(faces["score"].to_numpy())
    failed = photos.filter(photos["error"].is_valid()).select(["photo", "error"])
    for row in failed.to_pylist():
        # Errors that differ in numbers alone are of one kind.
        kind = _NUMBERS.sub("N", row["error"])
        found.errors[kind] += 1
        found.example_of.setdefault(kind, f"{row['photo']}: {row['error']}")
    if faces_for_sheet and len(faces):
        step = max(1, len(faces) // faces_for_sheet)
        found.sheet += [(number, row) for row in faces.slice(0).take(list(range(0, len(faces), step))).to_pylist()][
            :faces_for_sheet
        ]


def _summary(store: Store, plan: Plan, state: Tally) -> str:
    rows = {
        "photos": f"{state.done.photos:,} of {plan.photos:,}",
        "faces": f"{state.done.faces:,}",
        "photos with an error": f"{state.done.errors:,}",
        "shards": f"{state.shards:,} of {plan.shards:,} done, {state.aside:,} set aside",
        "source": plan.source.given,
        "weights": f"{plan.settings.weights} ({plan.settings.fingerprint})",
        "made by": f"jvcr {plan.jvcr}",
    }
    for name in store.names(ASIDE)[:_MOST_ERRORS]:
        rows[f"set aside: {name.partition('.')[0]}"] = store.read(f"{ASIDE}/{name}").decode("utf-8", "replace")
    return "<table>" + "".join(f"<tr><th>{_e(k)}</th><td>{_e(v)}</td></tr>" for k, v in rows.items()) + "</table>"


def _errors(found: _Found) -> str:
    if not found.errors:
        return "<p>None.</p>"
    rows = "".join(
        f"<tr><td class='n'>{count:,}</td><td>{_e(kind)}</td><td>{_e(found.example_of[kind])}</td></tr>"
        for kind, count in found.errors.most_common(_MOST_ERRORS)
    )
    return f"<table><tr><th>photos</th><th>error</th><th>for example</th></tr>{rows}</table>"


def _chart(histogram: Histogram) -> str:
    """Bars as SVG."""
    most = max(1, int(histogram.counts.max()))
    width, height = 26, 120
    parts = []
    for i, count in enumerate(histogram.counts.tolist()):
        bar = height * count / most
        low, high = histogram.edges[i], histogram.edges[i + 1]
        parts.append(
            f"<rect x='{i * width}' y='{height - bar:.1f}' width='{width - 2}' height='{bar:.1f}'>"
            f"<title>{low:g} to {high:g}: {count:,}</title></rect>"
            + (f"<text x='{i * width}' y='{height + 12}'>{low:g}</text>" if i % 2 == 0 else "")
        )
    box = f"0 0 {width * len(histogram.counts) + 10} {height + 18}"
    total = int(histogram.counts.sum())
    caption = f"<figcaption>{_e(histogram.title)} (n = {total:,})</figcaption>"
    return f"<figure>{caption}<svg viewBox='{box}'>{''.join(parts)}</svg></figure>"


def _pictures(store: Store, plan: Plan, sheet: Sequence[tuple[int, dict[str, Any]]]) -> list[str]:
    listings: dict[int, dict[int, Photo]] = {}
    wanted: list[tuple[int, Photo]] = []
    for number, row in sheet:
        if number not in listings:
            listings[number] = dict(read_listing(store, plan, number))
        wanted.append((row["photo_index"], listings[number][row["photo_index"]]))
    reader = Reader(plan.source, plan.settings.max_pixels, plan.settings.time_limit_s)
    pictures = []
    for (_, row), read in zip(sheet, reader.read(wanted), strict=True):
        if read.image is None:
            continue
        crop = Crop.from_box(Box(row["x0"], row["y0"], row["x1"], row["y1"]), _FACE_PX)
        picture = extract(read.image, crop)
        if row["markup"] == MARKUP_68.name:
            points = np.asarray(row["landmarks"], np.float32).reshape(-1, 3)
            inside = crop.to_crop(points)
            picture = draw_faces(picture, [Face(inside, Box.around(inside), row["score"])], boxes=False, enlarge=False)
        data = base64.b64encode(jpeg(picture)).decode()
        title = _e(f"{read.photo.id}: score {row['score']:.2f}")
        pictures.append(f"<img src='data:image/jpeg;base64,{data}' title='{title}' alt='{title}'>")
    return pictures


def _e(text: str) -> str:
    return html.escape(text.encode("utf-8", "backslashreplace").decode(), quote=True)


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: 2px 12px 2px 0; vertical-align: top; }
td { overflow-wrap: anywhere; } td.n { text-align: right; } .charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 340px; } svg { width: 100%; } rect { fill: #3f51b5; } text { font-size: 9px; fill: #555; }
.faces { display: flex; flex-wrap: wrap; gap: 4px; } .faces img { width: 128px; height: 128px; }
"""
