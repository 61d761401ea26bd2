"""Input of the data check: samples are read tolerantly, one by one, and never all kept in memory."""

from __future__ import annotations

import tarfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.data.doctor.report import Case
from jvcr.data.face_photos import LABELS_FILE, read_face_labels
from jvcr.data.labels import readable
from jvcr.data.sample import Sample
from jvcr.data.table import read_labels
from jvcr.data.tars import tar_members
from jvcr.images import Image, ImageError, decode_image
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Markup

_READING = (ValueError, OSError, LookupError, TypeError, RuntimeError)
"""What readers raise."""
_REPEATS = 3
_LABELS = "labels.npz"


@dataclass(frozen=True, eq=False)
class Entry:
    """A label and its image, if there is one.

    Attributes:
        row: number in its source; the same in every pass.
        points_img: (N, 3) float64 pixels of the image, z away from the camera; not validated.
        image: (H, W, 3) uint8 RGB; None if it is missing or unreadable.
        problem: why there is no image.
        strict: apply the rules of training: no landmark may be missing, and the weight is above 0.
        openings, hand2d, visibility: see ``Sample``; not validated, None if missing.
        file: name of the file with the labels, for messages; "" if unknown.
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
    file: str = ""


class Source(Protocol):
    """A data set that can be gone through more than once.

    Attributes:
        title: for messages.
        cases: faults of the files; complete after a full pass.
    """

    title: str
    cases: list[Case]

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """All entries, or only the wanted rows, in any order; every pass has the same rows."""
        ...


class SampleSource:
    """Samples by split: ``SampleSource({"train": train, "val": val})``.

    Each value is an iterable of samples, or a function that returns one. With the name "", samples keep their split.
    A contact sheet needs a second pass, which a generator does not allow: pass a list or a function.
    An error raised by an iterable becomes a ``reader-error`` (``unreadable-image`` for an image). Earlier samples are
    kept; later ones too, unless it is a generator.
    """

    def __init__(
        self, splits: Mapping[str, Iterable[Sample] | Callable[[], Iterable[Sample]]], title: str = "samples"
    ) -> None:
        self.title = title
        self.cases: list[Case] = []
        self._splits = dict(splits)

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """The samples one by one, or only the ``wanted`` rows; unreadable samples become cases."""
        self.cases = []
        row = 0
        for split, samples in self._splits.items():
            for sample in self._tolerant(samples, split):
                if wanted is None or row in wanted:
                    yield _entry_of(sample, row, split)
                row += 1

    def _tolerant(self, samples: Iterable[Sample] | Callable[[], Iterable[Sample]], split: str) -> Iterator[Sample]:
        """Continue after an error if the iterator can. Stop if the same error repeats."""
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
        # The data set's own split, if its reader knows one.
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
    """The training table (``labels.npz`` and ``*.tar``), read tolerantly: every label and every tar member separately.

    ``jvcr.data.table.Table`` stops at the first fault, for training; this class continues and lists all faults.
    """

    def __init__(self, folder: Path, incomplete: bool = False) -> None:
        """``incomplete``: allow unmarked landmarks (NaN) and labels without depth (z NaN), which training refuses."""
        self.title = str(folder)
        self.cases: list[Case] = []
        self._folder = folder
        self._strict = not incomplete

    def entries(self, wanted: frozenset[int] | None = None) -> Iterator[Entry]:
        """The rows one by one, in tar file order, or only the ``wanted`` ones; faults become cases."""
        self.cases = []
        labels = self._read_labels()
        if labels is None:
            return
        backgrounds = self._background_names() if wanted is None else set()
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
                if name in backgrounds:
                    self._decode_background(f"{path.name}: {name}", name, data)
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
        self.cases += [
            Case("missing-image", name, f"{name} is in no *.tar of {self._folder}; {LABELS_FILE} has it")
            for name in sorted(backgrounds - found.keys())
        ]
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
            file=_LABELS,
        )

    def _members(self, path: Path) -> Iterator[tuple[str, bytes]]:
        damaged = ""
        try:
            # As training reads it. What follows is tolerant: to it, any bytes are an empty archive.
            deque(tar_members(path), maxlen=0)
        except (ValueError, OSError) as error:
            damaged = str(error).removeprefix(f"{path}: ")
        try:
            size = path.stat().st_size
            # After a damaged header, reading continues at the next good one; its own member is then missing.
            with tarfile.open(path, "r:", ignore_zeros=True) as archive:
                for member in archive:
                    # A header may claim more bytes than there are, or than memory holds.
                    if member.isreg() and not member.issparse() and member.offset_data + member.size <= size:
                        file = archive.extractfile(member)
                        yield Path(member.name).stem, file.read() if file else b""
        except (tarfile.TarError, OSError, EOFError, OverflowError) as error:
            damaged = damaged or str(error)
        if damaged:
            self.cases.append(Case("damaged-archive", path.name, damaged))

    def _read_labels(self) -> _Labels | None:
        path = self._folder / _LABELS
        try:
            stored = read_labels(path)
        except (ValueError, OSError) as error:
            self.cases.append(Case("bad-labels", str(path), str(error).removeprefix(f"{path}: ")))
            return None
        # Duplicate ids are a separate finding.
        faults = [fault for fault in stored.faults if "more than once" not in fault]
        self.cases += [Case("bad-labels", str(path), fault) for fault in faults]
        arrays, markup = readable(stored.arrays), stored.markup
        if not arrays:
            return None
        n, points = len(arrays["id"]), arrays["points"]
        # The table stores z towards the camera. Its mean has no meaning.
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
        """Photographs without labelled landmarks, which a table may also hold (docs/datasets.md)."""
        path = self._folder / LABELS_FILE
        if not path.exists():
            return set()
        try:
            return set(read_face_labels(path).names)
        except (ValueError, OSError) as error:
            self.cases.append(Case("bad-labels", str(path), str(error).removeprefix(f"{path}: ")))
            return set()

    def _decode_background(self, where: str, name: str, data: bytes) -> None:
        try:
            decode_image(data, where)
        except ImageError as error:
            self.cases.append(Case("unreadable-image", name, str(error)))


def markup_of(n_points: int) -> Markup:
    """The default markup for 68 or 66 points; otherwise one without names and mirror pairs. At least 2 points."""
    for markup in (MARKUP_68, MARKUP_66):
        if markup.n_points == n_points:
            return markup
    fixed = tuple(range(n_points))
    return Markup(f"unknown-{n_points}", n_points, fixed, {}, frozenset(), (0, 1))
