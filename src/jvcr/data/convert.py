"""Write samples as a training table: uncompressed tar files of crops and ``labels.npz`` (docs/decisions/0009)."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.data.cutting import Cut, cut, outside
from jvcr.data.labels import broken_landmarks
from jvcr.data.sample import Sample
from jvcr.data.tars import TarShards
from jvcr.markups.markup import Markup

ImageFormat = Literal["webp", "jpeg", "png", "original"]
OnBad = Literal["skip", "stop"]

_ENDINGS = {"webp": ".webp", "jpeg": ".jpg", "png": ".png"}
_AHEAD = 32
"""Number of images that are encoded while the next ones are read."""


@dataclass(frozen=True)
class Storage:
    """How a table is stored.

    Attributes:
        size_px: maximum length of the longer side. Smaller crops are not enlarged: their pixels are copied.
        margin: side of the stored square, divided by the longer side of the landmark box. Training crops 1.6 times the
            box, with random scale, shift and rotation. Parts of the square outside the image are not stored.
            At the defaults, the 1.6 crop is 256 px wide, the input size of the largest preset.
        image_format: ``original`` stores the bytes of the data set's files, uncut.
        quality: JPEG or WebP quality, 1…100. PNG is lossless.
        shard_mb: approximate size of a tar file, in 10⁶ bytes.
        split: ``auto`` keeps the data set's own split and assigns the other samples by hash; ``hash`` assigns all by
            hash; any other word becomes the split of all samples.
        val_share: the share of groups that the hash assigns to ``val``; the others get ``train``.
        on_bad: what to do with a sample that cannot be stored: leave it out and report it, or stop.
        keep_incomplete: also store samples with NaN (unmarked landmarks, no depth). Training refuses such rows.
    """

    size_px: int = 384
    margin: float = 2.4
    image_format: ImageFormat = "webp"
    quality: int = 92
    shard_mb: float = 256.0
    split: str = "auto"
    val_share: float = 0.05
    on_bad: OnBad = "skip"
    keep_incomplete: bool = False

    def __post_init__(self) -> None:
        if self.image_format not in ("original", *_ENDINGS):
            raise ValueError(
                f"image format {self.image_format!r} is unknown; expected {', '.join(_ENDINGS)} or original"
            )
        if self.on_bad not in ("skip", "stop"):
            raise ValueError(f"on_bad {self.on_bad!r} is unknown; expected skip or stop")
        if self.size_px < 16 or not self.margin >= 1 or not 1 <= self.quality <= 100 or not self.shard_mb > 0:
            raise ValueError(
                f"size {self.size_px} px, margin {self.margin}, quality {self.quality}, shards of {self.shard_mb} MB: "
                "expected a size of at least 16, a margin of at least 1, a quality of 1 to 100, and shards above 0"
            )
        if not 0 <= self.val_share < 1:
            raise ValueError(f"val share {self.val_share}: expected 0 or more, and below 1")
        if not re.fullmatch(r"\w+", self.split):
            raise ValueError(f"split {self.split!r}: expected auto, hash, or one word")


@dataclass(frozen=True)
class Skipped:
    """A sample that is not in the table. ``name`` is "" if the reader failed before it knew the name."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


@dataclass(frozen=True)
class Converted:
    """What was written: rows by split, tar files, skipped samples, and notes of the reader and about the table."""

    splits: dict[str, int]
    shards: int
    image_bytes: int
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows written, of all splits."""
        return sum(self.splits.values())


def convert(
    samples: Iterator[Sample],
    out: Path,
    storage: Storage | None = None,
    about: dict[str, Any] | None = None,
    on_sample: Callable[[], object] = lambda: None,
) -> Converted:
    """Write samples as a training table: ``labels.npz``, tar files, and ``convert.json`` with how it was made.

    The folder is written as ``OUT.partial`` and renamed when it is complete. If a killed run left such a folder, an
    error names it; you can delete it.

    Args:
        samples: from one or more data sets with the same markup. A step that raises is a bad sample
            (``Storage.on_bad``). A generator cannot continue after an error, so there it ends the conversion.
        out: a folder that does not exist yet, or is empty.
        about: stored in ``convert.json``, e.g. format and options.
        on_sample: called after each sample, for a progress bar.
    Raises:
        FileExistsError: ``out`` or ``OUT.partial`` exists.
        ValueError: a bad sample and ``on_bad`` is ``stop``; no sample is left; or samples have different markups.
        ImageError: likewise.
    """
    storage = storage or Storage()
    check_new(out)
    partial = out.with_name(f"{out.name}.partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
    except FileExistsError:
        raise FileExistsError(
            f"{partial}: already exists, from a run that is active or was killed; if it was killed, delete this folder"
        ) from None
    try:
        result = _write(samples, partial, storage, about or {}, on_sample)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return result


def check_new(out: Path) -> None:
    """Raise FileExistsError unless ``out`` does not exist, or is an empty folder.

    A symbolic link counts as existing: the folder that takes its name could not replace it.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise FileExistsError(f"{out}: already exists; choose another folder, or delete it first")


def _write(
    samples: Iterator[Sample], folder: Path, storage: Storage, about: dict[str, Any], on_sample: Callable[[], object]
) -> Converted:
    labels = _Labels(storage)
    skipped = [Skipped(name, reason) for name, reason in getattr(samples, "left_out", ())]
    pending: list[tuple[str, Future[tuple[bytes, str]]]] = []
    with ThreadPoolExecutor() as pool, TarShards(folder, storage.shard_mb) as shards:

        def write_first() -> None:
            name, encoded = pending.pop(0)
            data, ending = encoded.result()
            shards.add(name + ending, data)

        while True:
            name = ""
            try:
                sample = next(samples)
                name = sample.name
                stored = _cut(sample, storage)
                member = labels.add(sample, stored)
            except StopIteration:
                break
            except _MixedMarkups:
                raise
            except (ValueError, OSError) as error:
                # A generator ends with its first error; later samples would be lost silently.
                if storage.on_bad == "stop" or (not name and isinstance(samples, Generator)):
                    raise ValueError(str(Skipped(name, str(error)))) from error
                skipped.append(Skipped(name, str(error)))
            else:
                pending.append((member, pool.submit(_encode, sample, stored, storage)))
                if len(pending) >= _AHEAD:
                    write_first()
            on_sample()
        while pending:
            write_first()
    if not labels.rows:
        example = f"; the first: {skipped[0]}" if skipped else ""
        raise ValueError(f"no sample is left to store: {len(skipped)} were bad{example}")
    notes = (*getattr(samples, "notes", ()), *labels.notes())
    splits = dict(sorted(Counter(row["split"] for row in labels.rows).items()))
    result = Converted(splits, shards.count, shards.total_bytes, tuple(skipped), notes)
    made = {**about, "storage": asdict(storage), **asdict(result)}
    (folder / "convert.json").write_text(json.dumps(made, indent=1, default=str), encoding="utf-8")
    # Written last: a folder without it is not a table.
    arrays: dict[str, Any] = labels.arrays()
    np.savez_compressed(folder / "labels.npz", **arrays)
    return result


class _MixedMarkups(ValueError):
    """Not the fault of one sample: a table has a single markup."""


class _Labels:
    """Collects the rows."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.rows: list[dict[str, Any]] = []
        self.markup: Markup | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()

    def add(self, sample: Sample, stored: Cut) -> str:
        """Add a row and return its ``id``.

        Raises:
            ValueError: the sample cannot be a row.
        """
        if sample.name in self._names:
            raise ValueError("another sample has the same name")
        if not 0 < sample.weight <= 1:
            raise ValueError(f"its weight is {sample.weight}; expected above 0, at most 1")
        if len(sample.points_img) != sample.markup.n_points:
            raise ValueError(f"{len(sample.points_img)} points, but its markup has {sample.markup.n_points}")
        if self.markup is None:
            self.markup = sample.markup
        elif not sample.markup.same_points(self.markup):
            raise _MixedMarkups(
                f"{sample.name}: markup {sample.markup.name!r}, but {self.markup.name!r} before; a table has one markup"
            )
        member = self._member(sample.name)
        points = stored.to_stored(sample.points_img) * np.array([1, 1, -1])  # the table stores z towards the camera
        box = sample.given_box
        corners = np.full(4, np.nan)
        if box is not None:
            corners = stored.to_stored(np.array([[box.x0, box.y0, 0], [box.x1, box.y1, 0]]))[:, :2].ravel()
        self._names.add(sample.name)
        self.rows.append(
            {
                "id": member,
                "name": sample.name,
                "split": _split(sample, self.storage),
                "points": points.astype(np.float32),
                "weight": np.float32(sample.weight),
                "source": sample.source,
                "group": sample.group or sample.name,
                "yaw_deg": np.float32(sample.yaw_deg),
                "box": corners.astype(np.float32),
                "origin": np.array([stored.x, stored.y, stored.scale]),
                "provenance": sample.provenance,
                "openings": sample.openings,
                "hand2d": _stored_marks(sample, stored),
                "visibility": _visibility(sample),
            }
        )
        return member

    def _member(self, name: str) -> str:
        """A name that is valid as a file name: letters, digits, - and _; numbered if it is taken."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "face"
        member, number = plain, 1
        # Some file systems ignore case.
        while member.lower() in self._members:
            number += 1
            member = f"{plain}-{number}"
        self._members.add(member.lower())
        return member

    def notes(self) -> list[str]:
        """Notes about the table for the user."""
        notes = []
        sides = defaultdict(set)
        for row in self.rows:
            sides[row["group"]].add(row["split"])
        torn = [group for group, splits in sides.items() if len(splits) > 1]
        if torn:
            notes.append(f"{len(torn)} groups are in several splits, e.g. {torn[0]}: this is the data set's own split")
        if self.storage.split in ("auto", "hash"):
            for split in sorted({"train", "val"} - {row["split"] for row in self.rows}):
                notes.append(f"no row is in the split {split!r}, which training needs")
        return notes

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of ``labels.npz``, sorted by ``id``."""
        assert self.markup is not None
        rows = sorted(self.rows, key=lambda row: row["id"])
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        # Most data sets have none of these.
        for key, known in (
            ("openings", columns["openings"] != ""),
            ("hand2d", np.isfinite(columns["hand2d"])),
            ("visibility", columns["visibility"] >= 0),
        ):
            if not known.any():
                del columns[key]
        return columns | {"markup": np.array(json.dumps(self.markup.to_dict()))}


def _stored_marks(sample: Sample, stored: Cut) -> NDArray[np.float32]:
    """(N, 2) hand marks in pixels of the stored image."""
    n_points = len(sample.points_img)
    if sample.hand2d is None:
        return np.full((n_points, 2), np.nan, np.float32)
    if sample.hand2d.shape != (n_points, 2):
        raise ValueError(f"its hand marks have shape {sample.hand2d.shape}; expected ({n_points}, 2)")
    flat = np.concatenate([sample.hand2d, np.zeros((n_points, 1), np.float32)], axis=1)
    return stored.to_stored(flat)[:, :2].astype(np.float32)


def _visibility(sample: Sample) -> NDArray[np.int8]:
    n_points = len(sample.points_img)
    if sample.visibility is None:
        return np.full(n_points, -1, np.int8)
    if sample.visibility.shape != (n_points,):
        raise ValueError(f"its visibility has shape {sample.visibility.shape}; expected ({n_points},)")
    return sample.visibility.astype(np.int8)


def _cut(sample: Sample, storage: Storage) -> Cut:
    points = sample.points_img
    if np.isinf(points).any():
        raise ValueError("a landmark is infinite")
    if not storage.keep_incomplete and not np.isfinite(points).all():
        unmarked = int((~np.isfinite(points[:, :2]).all(axis=1)).sum())
        what = f"{unmarked} landmarks are not marked" if unmarked else "its labels have no depth"
        raise ValueError(f"{what} (keep_incomplete stores it anyway; training refuses such rows)")
    broken = np.flatnonzero(broken_landmarks(points.astype(np.float64), strict=False))
    if len(broken):
        raise ValueError(f"landmark {broken[0]} (from 0) is incomplete: {points[broken[0]].tolist()}")
    if not np.isfinite(points[:, :2]).any():
        raise ValueError("no landmark is marked")
    box = sample.box
    if not box.meets(sample.image.shape[1], sample.image.shape[0]):
        raise ValueError(outside(box, sample.image))
    if storage.image_format == "original":
        if sample.file is None:
            raise ValueError("it has no image file of its own to copy; choose another image format")
        return Cut(sample.image, 0.0, 0.0, 1.0)
    return cut(sample.image, box, storage.size_px, storage.margin)


def _encode(sample: Sample, stored: Cut, storage: Storage) -> tuple[bytes, str]:
    """(bytes, ending)."""
    if storage.image_format == "original":
        assert sample.file is not None
        return sample.file.read_bytes(), sample.file.suffix.lower()
    ending = _ENDINGS[storage.image_format]
    flags = {
        "webp": [cv2.IMWRITE_WEBP_QUALITY, storage.quality],
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, storage.quality],
        "png": [],
    }[storage.image_format]
    done, data = cv2.imencode(ending, np.ascontiguousarray(stored.image[:, :, ::-1]), flags)
    if not done:
        raise ValueError(f"{sample.name}: OpenCV cannot write {ending}")
    return data.tobytes(), ending


def _split(sample: Sample, storage: Storage) -> str:
    if storage.split not in ("auto", "hash"):
        return storage.split
    if storage.split == "auto" and sample.split:
        return sample.split
    # A 32-bit hash that is the same in every version of Python.
    return "val" if zlib.crc32((sample.group or sample.name).encode()) < storage.val_share * 2**32 else "train"
