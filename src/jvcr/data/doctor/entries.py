"""Samples as the dataset doctor sees them: read as far as they can be read, one by one, never all in memory."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.data.doctor.report import Case
from jvcr.data.labels import NEEDED, OPTIONAL, label_faults, readable
from jvcr.data.reading import check_text, plain_array
from jvcr.data.sample import Sample
from jvcr.images import Image, ImageError, decode_image
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Markup

_READING = (ValueError, OSError, LookupError, TypeError, RuntimeError)
"""What readers raise."""
_REPEATS = 3


@dataclass(frozen=True, eq=False)
class Entry:
    """A label, with its image where there is one.

    Attributes:
        row: number in its source; the same in every pass.
        points_img: (N, 3) float64 pixels of the image, z away from the camera, as stored: anything may be in it.
        image: (H, W, 3) uint8 RGB; None where it is missing or cannot be read.
        problem: why there is no image.
        strict: the rules of training: no landmark may be missing, and a weight is above 0.
        openings, hand2d, visibility: as of ``Sample``, as stored; None where there are none.
    """

    row: int
    name: str
    points_img: NDArray[np.float64]
    markup: Markup
    image: Image | None
    problem: Case | None = None
    split: str = ""
    source: str = ""
    group: str = ""
    weight: float = 1.0
    yaw_deg: float = float("nan")
    strict: bool = False
    openings: str = ""
    hand2d: NDArray[np.float64] | None = None
    visibility: NDArray[np.int64] | None = None


class Source(Protocol):
    """A data set that can be gone through more than once.

    Attributes:
        title: for messages.
        cases: faults of the files themselves, complete after a whole pass.
    """

    title: str
    cases: list[Case]

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """All entries, or those of the wanted rows only; in any order, with the same rows in every pass."""
        ...


class SampleSource:
    """Samples by split: ``SampleSource({"train": train, "val": val})``.

    Each value is an iterable of samples, or a function that gives one; under the name "" samples keep their own split.
    A generator can be gone through only once; a contact sheet needs a second pass: pass a list or a function for it.
    An error that an iterable raises becomes a ``reader-error`` (``unreadable-image`` for an image), and what came
    before and, unless it is a generator, after it is kept.
    """

    def __init__(
        self, splits: Mapping[str, Iterable[Sample] | Callable[[], Iterable[Sample]]], title: str = "samples"
    ) -> None:
        self.title = title
        self.cases: list[Case] = []
        self._splits = dict(splits)

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """The samples one by one, or only the ``wanted`` rows; what cannot be read becomes a case."""
        self.cases = []
        row = 0
        for split, samples in self._splits.items():
            for sample in self._tolerant(samples, split):
                if wanted is None or row in wanted:
                    yield _entry_of(sample, row, split)
                row += 1

    def _tolerant(self, samples: Iterable[Sample] | Callable[[], Iterable[Sample]], split: str) -> Iterator[Sample]:
        """Goes on after an error where the iterator can. A generator cannot, and one that only repeats itself stops."""
        last, repeated, before = "none", 0, ""
        try:
            iterator = iter(samples() if callable(samples) else samples)
        except _READING as error:
            self.cases.append(Case("reader-error", split or self.title, str(error)))
            return
        self.cases += [Case("reader-note", split or self.title, note) for note in getattr(iterator, "notes", ())]
        while repeated < _REPEATS:
            try:
                sample = next(iterator)
            except StopIteration:
                return
            except _READING as error:
                repeated = repeated + 1 if str(error) == before else 0
                before = str(error)
                ended = "; no sample after it was seen" if isinstance(iterator, Generator) else ""
                code = "unreadable-image" if isinstance(error, ImageError) else "reader-error"
                self.cases.append(Case(code, split or self.title, f"{error}; last good sample: {last}{ended}"))
                continue
            last, repeated, before = sample.name, 0, ""
            yield sample


def _entry_of(sample: Sample, row: int, split: str) -> Entry:
    return Entry(
        row=row,
        name=sample.name,
        points_img=np.asarray(sample.points_img, np.float64),
        markup=sample.markup,
        image=sample.image,
        # The data set's own division, where its reader knows one.
        split=split or getattr(sample, "split", ""),
        source=sample.source,
        group=sample.group,
        weight=sample.weight,
        yaw_deg=sample.yaw_deg,
        openings=sample.openings,
        hand2d=None if sample.hand2d is None else np.asarray(sample.hand2d, np.float64),
        visibility=None if sample.visibility is None else np.asarray(sample.visibility, np.int64),
    )


@dataclass
class _Labels:
    names: list[str]
    splits: list[str]
    points: NDArray[np.float64]
    weights: list[float]
    sources: list[str]
    groups: list[str]
    markup: Markup
    openings: list[str]
    hand2d: NDArray[np.float64] | None
    visibility: NDArray[np.int64] | None
    rows_of: dict[str, list[int]] = field(default_factory=dict)


class TableSource:
    """The training table (``labels.npz`` and ``*.tar``), read tolerantly: every label, and every tar member on its own.

    ``jvcr.data.table.Table`` stops at the first fault, as training should; this goes on and lists them all.
    """

    def __init__(self, folder: Path, incomplete: bool = False) -> None:
        """``incomplete``: landmarks that are not marked (NaN) and labels without depth (z NaN) are meant to be there;
        training refuses them."""
        self.title = str(folder)
        self.cases: list[Case] = []
        self._folder = folder
        self._strict = not incomplete

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """The rows one by one, in the order of the tar files, or only the ``wanted`` ones; faults become cases."""
        self.cases = []
        labels = self._read_labels()
        if labels is None:
            return
        backgrounds = self._background_names()
        unused = 0
        found: dict[str, str] = {}
        for path in sorted(self._folder.glob("*.tar")):
            for name, data in self._members(path):
                rows = labels.rows_of.get(name, [])
                if name in found:
                    if rows:
                        self.cases.append(Case("duplicate-member", name, f"{found[name]} and {path.name}"))
                    continue
                found[name] = path.name
                unused += not rows and name not in backgrounds
                if not rows or (wanted is not None and not wanted & set(rows)):
                    continue
                image, problem = None, None
                try:
                    image = decode_image(data, f"{path.name}: {name}")
                except ImageError as error:
                    problem = str(error)
                for row in rows:
                    yield self._entry(labels, row, image, "unreadable-image", problem)
        if unused:
            self.cases.append(Case("unused-member", self._folder.name, f"{unused} images"))
        for row, name in enumerate(labels.names):
            if name not in found and (wanted is None or row in wanted):
                yield self._entry(labels, row, None, "missing-image", f"{name} is in no *.tar of {self._folder}")

    def _entry(self, labels: _Labels, row: int, image: Image | None, code: str, problem: str | None) -> Entry:
        name = labels.names[row]
        return Entry(
            row=row,
            name=name,
            points_img=labels.points[row],
            markup=labels.markup,
            image=image,
            problem=None if problem is None else Case(code, name, problem, row),
            split=labels.splits[row],
            source=labels.sources[row],
            group=labels.groups[row],
            weight=labels.weights[row],
            strict=self._strict,
            openings=labels.openings[row],
            hand2d=None if labels.hand2d is None else labels.hand2d[row],
            visibility=None if labels.visibility is None else labels.visibility[row],
        )

    def _members(self, path: Path) -> Iterator[tuple[str, bytes]]:
        try:
            tarfile.open(path, "r:").close()  # read tolerantly, anything would be an empty archive
        except (tarfile.TarError, OSError, EOFError) as error:
            self.cases.append(Case("damaged-archive", path.name, f"its beginning is not that of a tar file: {error}"))
        try:
            # Past a damaged header, reading goes on at the next good one; its own member is then missing.
            with tarfile.open(path, "r:", ignore_zeros=True) as archive:
                for member in archive:
                    if member.isfile():
                        file = archive.extractfile(member)
                        yield Path(member.name).stem, file.read() if file else b""
        except (tarfile.TarError, OSError, EOFError) as error:
            self.cases.append(Case("damaged-archive", path.name, str(error)))

    def _read_labels(self) -> _Labels | None:
        path = self._folder / "labels.npz"
        try:
            with np.load(path) as file:
                arrays = {key: plain_array(file, key) for key in (*NEEDED, *OPTIONAL) if key in file}
                markup = Markup.from_dict(json.loads(str(file["markup"]))) if "markup" in file else None
            check_text(arrays)
        except Exception as error:  # whatever zipfile, zlib and NumPy make of bytes from anywhere
            self.cases.append(Case("bad-labels", str(path), f"{type(error).__name__}: {error}"))
            return None
        # The same id twice has a finding of its own.
        faults = [fault for fault in label_faults(arrays) if "more than once" not in fault]
        self.cases += [Case("bad-labels", str(path), fault) for fault in faults]
        arrays = readable(arrays)
        if not arrays:
            return None
        n, points = len(arrays["id"]), arrays["points"]
        # The table stores z towards the camera; only its differences count.
        points = points.astype(np.float64) * (1, 1, -1)
        marked = np.isfinite(points[..., 2])
        total = np.where(marked, points[..., 2], 0).sum(axis=1, keepdims=True)
        points[..., 2] -= total / np.maximum(1, marked.sum(axis=1, keepdims=True))
        nothing = np.full(n, "")
        labels = _Labels(
            names=[str(name) for name in arrays["id"].tolist()],
            splits=[str(split) for split in arrays["split"].tolist()],
            points=points,
            weights=[float(weight) for weight in arrays["weight"].tolist()],
            sources=[str(source) for source in arrays["source"].tolist()],
            groups=[str(group) for group in arrays.get("group", nothing).tolist()],
            markup=markup or markup_of(points.shape[1]),
            openings=[str(opening) for opening in arrays.get("openings", nothing).tolist()],
            hand2d=arrays["hand2d"].astype(np.float64) if "hand2d" in arrays else None,
            visibility=arrays["visibility"].astype(np.int64) if "visibility" in arrays else None,
        )
        for row, name in enumerate(labels.names):
            labels.rows_of.setdefault(name, []).append(row)
        return labels

    def _background_names(self) -> set[str]:
        """Photographs without labelled landmarks, which a table may hold besides (docs/datasets.md)."""
        try:
            with np.load(self._folder / "detect_labels.npz") as file:
                names = plain_array(file, "id")
            check_text({"id": names})
            return {str(name) for name in names.tolist()}
        except Exception:  # missing, or damaged in any way: then there are none
            return set()


def markup_of(n_points: int) -> Markup:
    """The markup with that many points; where none is known, one that only numbers them and says nothing of mirror
    pairs. At least 2 points."""
    for markup in (MARKUP_68, MARKUP_66):
        if markup.n_points == n_points:
            return markup
    fixed = tuple(range(n_points))
    return Markup(f"unknown-{n_points}", n_points, fixed, {}, frozenset(), (0, 1))
