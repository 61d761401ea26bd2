"""Compare labels with a trained network, to find faults that landmarks alone do not show."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from jvcr.data.doctor.entries import Entry
from jvcr.data.doctor.report import Case
from jvcr.frames import Box, Crop, mirrored
from jvcr.locate import locate, locate_many
from jvcr.metrics import normalised_mean_error
from jvcr.runtime.base import Runtime

DISAGREES = 0.15
"""NME of the network against a label above which the label is reported."""
MIRRORED_SHARE = 0.5
"""The mirrored label is considered correct if its NME is below this share of the label's, and below
``MIRRORED_NME``."""
MIRRORED_NME = 0.08
SUSPECT = 0.06
"""NME above which the mirrored label is tried."""
OFFSET_PX = 0.5


class ModelOpinion:
    """Predicts each face from the crop of its label, ``batch_size`` at a time."""

    def __init__(self, runtime: Runtime, batch_size: int = 32) -> None:
        self._runtime = runtime
        self._batch_size = batch_size
        self._pending: list[tuple[Entry, Box]] = []
        self._cases: list[Case] = []
        self._offsets: list[NDArray[np.float64]] = []
        self._skipped: Counter[str] = Counter()
        self.nme: dict[int, float] = {}
        """Row → NME of the network against the label."""

    def add(self, entry: Entry, box: Box) -> None:
        """Add an entry. The network runs when a batch is full."""
        if entry.markup.n_points != self._runtime.markup.n_points or entry.markup.mirror != self._runtime.markup.mirror:
            self._skipped[f"markup {entry.markup.name} is not the network's {self._runtime.markup.name}"] += 1
        elif not np.isfinite(entry.points_img[:, :2]).all():
            self._skipped["not all landmarks are marked"] += 1
        elif entry.image is not None:
            self._pending.append((entry, box))
            if len(self._pending) >= self._batch_size:
                self._work()

    def cases(self) -> list[Case]:
        """The findings, after a last batch with the remaining entries."""
        self._work()
        cases = self._cases + [
            Case("not-judged", "network", f"{count} samples were not compared: {why}")
            for why, count in self._skipped.items()
        ]
        if len(self._offsets) >= 20:
            offsets = np.stack(self._offsets)
            mean = offsets.mean(axis=0)
            error = offsets.std(axis=0, ddof=1) / np.sqrt(len(offsets))
            if (np.abs(mean) > np.maximum(OFFSET_PX, 4 * error)).any():
                x, y = mean
                detail = f"the network lies ({x:+.2f}, {y:+.2f}) px from the labels, averaged over {len(offsets)} faces"
                cases.append(Case("label-offset", "network", detail))
        return cases

    def _work(self) -> None:
        size = self._runtime.image_size
        work = (
            (entry.image, Crop.from_box(box, size, rule=self._runtime.crop_rule))
            for entry, box in self._pending
            if entry.image is not None
        )
        for (entry, _), face in zip(self._pending, locate_many(self._runtime, work, self._batch_size), strict=True):
            self._judge(entry, face.points_img)
        self._pending = []

    def _judge(self, entry: Entry, predicted_img: NDArray[np.float32]) -> None:
        label = entry.points_img
        nme = float(normalised_mean_error(predicted_img[None, :, :2], label[None, :, :2])[0])
        self.nme[entry.row] = nme
        if nme <= SUSPECT:
            self._offsets.append((predicted_img[:, :2] - label[:, :2]).mean(axis=0))
            return
        assert entry.image is not None
        other = mirrored(label, entry.image.shape[1])[list(entry.markup.mirror)]
        crop = Crop.from_box(Box.around(other), self._runtime.image_size, rule=self._runtime.crop_rule)
        again = locate(self._runtime, entry.image, [crop])[0].points_img
        other_nme = float(normalised_mean_error(again[None, :, :2], other[None, :, :2])[0])
        if other_nme < MIRRORED_NME and other_nme < MIRRORED_SHARE * nme:
            detail = f"NME {100 * nme:.1f} %, against the mirrored label {100 * other_nme:.1f} %"
            self._cases.append(Case("mirrored-image", entry.name, detail, entry.row, size=nme))
        elif nme > DISAGREES:
            self._cases.append(Case("model-disagrees", entry.name, f"NME {100 * nme:.1f} %", entry.row, size=nme))
