"""The endless, seeded stream of training batches. Batch k does not depend on interruptions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jvcr.data.derive import converted_points
from jvcr.data.table import Table
from jvcr.expression import WIDE_MOUTH, eye_openings, mouth_opening
from jvcr.frames import CROP_RULE, CropRule
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.train.data.augment import Augmentation, TrainingCrop, augment
from jvcr.train.data.backgrounds import Backgrounds

_NEARLY_CLOSED = 0.14
"""Slightly above the opening of closed eyes, so that eyes that are hard to tell from closed ones are also drawn more
often."""

_OPENINGS_UP_TO_DEG = 45.0
"""Maximum yaw at which openings in the picture are informative."""


class Batch(NamedTuple):
    """crops (B, S, S, 3) uint8 RGB; points_unit (B, N, 3) float32; weight (B,) float32; taught (B, N) bool."""

    crops: Tensor
    points_unit: Tensor
    weight: Tensor
    taught: Tensor


@dataclass(frozen=True)
class Sampling:
    """Sampling rates of rows, relative to a frontal row with rate 1.

    Attributes:
        half_profile, profile: factor for |yaw| over 30° and over 60°.
        sources: factor by the row's source, e.g. ``(("300wlp-ibug", 1.5),)``.
        closed_eyes, wide_mouths: factor for rows up to 45° of yaw with a closed eye or a wide-open mouth, if their
            openings are reliable. Only for markups from which the 68 landmarks can be derived.
    """

    half_profile: float = 1.0
    profile: float = 1.0
    sources: tuple[tuple[str, float], ...] = ()
    closed_eyes: float = 1.0
    wide_mouths: float = 1.0

    def __post_init__(self) -> None:
        rates = {
            "half_profile": self.half_profile,
            "profile": self.profile,
            "closed_eyes": self.closed_eyes,
            "wide_mouths": self.wide_mouths,
            **dict(self.sources),
        }
        for name, rate in rates.items():
            if not 0 <= rate < float("inf"):
                raise ValueError(f"sampling of {name} is {rate}; expected a factor from 0 on")


def row_rates(table: Table, sampling: Sampling) -> NDArray[np.float64]:
    """(rows,) relative rates."""
    yaw = np.nan_to_num(np.abs(table.yaw_deg))
    rates = np.where(yaw > 60, sampling.profile, np.where(yaw > 30, sampling.half_profile, 1.0))
    by_source = dict(sampling.sources)
    rates = rates * np.array([by_source.get(source, 1.0) for source in table.sources])
    if sampling.closed_eyes != 1 or sampling.wide_mouths != 1:
        rates = rates * _expression_rates(table, sampling)
    return rates


def _expression_rates(table: Table, sampling: Sampling) -> NDArray[np.float64]:
    points = None if table.known_markup is None else converted_points(table.points, table.known_markup, MARKUP_68)
    if points is None:
        # Openings are unknown for other markups.
        return np.ones(len(table))
    known = table.taught.all(axis=1) & (np.nan_to_num(np.abs(table.yaw_deg)) <= _OPENINGS_UP_TO_DEG)
    closed = known & (eye_openings(points[..., :2]).min(axis=1) < _NEARLY_CLOSED)
    wide = known & (mouth_opening(points[..., :2]) > WIDE_MOUTH)
    return np.where(closed, sampling.closed_eyes, 1.0) * np.where(wide, sampling.wide_mouths, 1.0)


def epoch_rows(rates: NDArray[np.float64], rng: Generator) -> NDArray[np.int64]:
    """``len(rates)`` rows in random order, drawn in proportion to their rates (systematic resampling)."""
    order = rng.permutation(len(rates))
    edges = np.cumsum(rates[order])
    marks = (np.arange(len(rates)) + rng.random()) * edges[-1] / len(rates)
    return rng.permutation(order[np.searchsorted(edges, marks)])


class _Crops(Dataset[TrainingCrop]):
    """Item (position, row): the augmented row. The generator depends only on the seed and the position."""

    def __init__(
        self,
        table: Table,
        size_px: int,
        markup: Markup,
        how: Augmentation,
        backgrounds: Backgrounds,
        seed: int,
        rule: CropRule,
    ) -> None:
        self.table, self.size_px, self.markup, self.how = table, size_px, markup, how
        self.backgrounds, self.seed, self.rule = backgrounds, seed, rule

    def __getitem__(self, item: tuple[int, int]) -> TrainingCrop:
        position, row = item
        rng = np.random.default_rng((self.seed, position, 1))
        try:
            return augment(self.table[row], self.size_px, self.markup, self.how, self.backgrounds, rng, self.rule)
        except (ValueError, OSError) as error:
            raise ValueError(f"row {self.table.names[row]}: {error}") from error


class _Order:
    """Endless batches of (position, row) from batch ``first`` on, restricted to ``share``."""

    def __init__(self, rates: NDArray[np.float64], batch_size: int, seed: int, first: int, share: slice) -> None:
        self.rates, self.batch_size, self.seed, self.first, self.share = rates, batch_size, seed, first, share

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        position = self.first * self.batch_size
        rows_of, rows = -1, np.empty(0, np.int64)
        while True:
            batch = []
            for _ in range(self.batch_size):
                epoch, place = divmod(position, len(self.rates))
                if epoch != rows_of:
                    rows_of, rows = epoch, epoch_rows(self.rates, np.random.default_rng((self.seed, epoch, 2)))
                batch.append((position, int(rows[place])))
                position += 1
            yield batch[self.share]


def one_thread(worker: int) -> None:
    """Disable OpenCV's threads: the data loader processes already use all cores."""
    cv2.setNumThreads(0)


def _collate(items: list[TrainingCrop]) -> Batch:
    return Batch(
        torch.from_numpy(np.stack([item.image for item in items])),
        torch.from_numpy(np.stack([item.points_unit for item in items])),
        torch.from_numpy(np.stack([item.weight for item in items])),
        torch.from_numpy(np.stack([item.taught for item in items])),
    )


def batches(
    table: Table,
    *,
    size_px: int,
    markup: Markup,
    augmentation: Augmentation,
    sampling: Sampling,
    backgrounds: Backgrounds,
    batch_size: int,
    seed: int,
    first: int = 0,
    workers: int = 1,
    share: slice = slice(None),
    rule: CropRule = CROP_RULE,
) -> Iterator[Batch]:
    """Endless training batches number ``first``, ``first + 1``, ….

    Args:
        share: part of each batch, if several devices share it. The batches themselves do not depend on it.
    """
    loader = DataLoader(
        _Crops(table, size_px, markup, augmentation, backgrounds, seed, rule),
        batch_sampler=_Order(row_rates(table, sampling), batch_size, seed, first, share),  # type: ignore[arg-type]
        collate_fn=_collate,
        num_workers=min(workers, os.cpu_count() or 1),
        # Forked workers share the decoded table; spawned workers would each get a copy.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        worker_init_fn=one_thread,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)
