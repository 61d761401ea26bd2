"""Training task of landmark networks: crops from a table, JVCR losses, NME on the validation rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jvcr.data.table import Table
from jvcr.draw.volume import stage_row
from jvcr.evaluate.errors import LandmarkErrors, landmark_errors
from jvcr.evaluate.run_network import predict_samples
from jvcr.frames import Crop, unit_to_crop
from jvcr.images import Image, extract
from jvcr.markups.markup import Markup
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.data.masks import check_markup
from jvcr.train.data.stream import Batch, batches, row_rates
from jvcr.train.initial import Taken, take_weights
from jvcr.train.learner import JVCRLearner, Learner, Part
from jvcr.train.task import Share, pixel_digest
from jvcr.train.vary import vary_pixels


class LandmarkTask:
    """See ``jvcr.train.task.Task``.

    Args:
        markup: markup of the table's points.
        init: weights file to start from (``jvcr.train.initial``); not read when a run is resumed.
        learner: the network and its losses; JVCR by default.
    Raises:
        ValueError: the number of points in a table differs from the markup.
    """

    def __init__(
        self,
        config: TrainConfig,
        markup: Markup,
        table: Table,
        validation: Table,
        backgrounds: Backgrounds,
        init: Path | None = None,
        learner: Learner | None = None,
    ) -> None:
        for rows in (table, validation):
            if rows.points.shape[1] != markup.n_points:
                raise ValueError(
                    f"the table has {rows.points.shape[1]} points, markup {markup.name!r} has {markup.n_points}"
                )
        if config.augmentation.mask_share:
            check_markup(markup)
        self.config: TrainConfig = config.for_rows(len(table))
        self.markup, self.table, self.validation, self.backgrounds = markup, table, validation, backgrounds
        self.identity = {"markup": markup.to_dict()}
        torch.manual_seed(config.seed)
        self.learner = learner or JVCRLearner(config, replace(config.model, n_points=markup.n_points), markup)
        self.network = self.learner.network
        self.taken: Taken | None = None
        self.start = ""
        self._init = init

    def before_first_step(self) -> None:
        """Load the initial weights."""
        if self._init is not None:
            self.taken = taken = take_weights(self.network, self.markup, self._init)  # type: ignore[arg-type]
            new = ", ".join(taken.new) or "nothing"
            self.start = f"{taken.tensors} tensors and {taken.landmarks} landmarks taken; new: {new}"

    def batches(self, first: int, share: slice) -> Iterator[Batch]:
        """See ``jvcr.train.task.Task``."""
        return batches(
            self.table,
            size_px=self.learner.about.image_size,
            markup=self.markup,
            augmentation=self.config.augmentation,
            sampling=self.config.sampling,
            backgrounds=self.backgrounds,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            first=first,
            workers=self.config.workers,
            share=share,
            rule=self.learner.about.crop,
        )

    def losses(self, network: nn.Module, batch: Batch, share: Share, stage: Stage) -> dict[str, Tensor]:
        """See ``jvcr.train.task.Task``."""
        crops = batch.crops[share.mine].to(share.device, non_blocking=True)
        part = Part(
            crops=vary_pixels(crops, self.config.augmentation, share.rows, share.seed),
            points_unit=batch.points_unit[share.mine].to(share.device, non_blocking=True),
            weight=batch.weight[share.mine].to(share.device),
            taught=batch.taught[share.mine].to(share.device),
            weight_sum=share.weight_sum,
            rows=share.rows,
            seed=share.seed,
        )
        return self.learner.losses(network, part, stage)._asdict()

    def validate(self, network: nn.Module, dtype: torch.dtype | None) -> LandmarkErrors:
        """Errors on all validation rows, with ground-truth boxes."""
        rows = (self.validation[row] for row in range(len(self.validation)))
        return landmark_errors(predict_samples(self.learner.runtime(network, dtype), rows), self.markup.normaliser)

    def sheet(self, network: nn.Module, pictures: int) -> Image:
        """Evenly spaced validation faces: photo, landmarks, volumes from coarse to fine."""
        chosen = np.linspace(0, len(self.validation) - 1, min(pictures, len(self.validation))).astype(int)
        size = self.learner.about.image_size
        samples = [self.validation[int(row)] for row in chosen]
        crops = np.stack([extract(s.image, Crop.from_box(s.box, size, rule=self.learner.about.crop)) for s in samples])
        output = TorchRuntime(network, self.markup).output(crops)  # type: ignore[arg-type]
        volumes = [volume.float().cpu().numpy() for volume in output.volumes]
        points_crop = unit_to_crop(output.points_unit.float().cpu().numpy(), size)
        return np.concatenate(
            [
                stage_row(crop, points, [volume[row] for volume in volumes], self.markup)
                for row, (crop, points) in enumerate(zip(crops, points_crop, strict=True))
            ]
        )

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights with their description."""
        self.learner.save(path, network, about)

    def fingerprint(self) -> dict[str, str]:
        """See ``jvcr.train.task.Task``."""
        return {"labels": self._labels_digest(), "images": self._images_digest}

    @cached_property
    def _images_digest(self) -> str:
        others = [*self.backgrounds.without_faces, *(photo for photo, _ in self.backgrounds.with_faces)]
        return f"{self.table.image_digest} {self.validation.image_digest} {pixel_digest(others)}"

    def _labels_digest(self) -> str:
        names = (*self.table.names, "", *self.validation.names)
        digest = hashlib.sha256("\n".join(names).encode())
        rates = row_rates(self.table, self.config.sampling)
        backgrounds = [len(self.backgrounds.without_faces), len(self.backgrounds.with_faces)]
        for array in (self.table.points, self.table.weights, self.table.taught, rates, np.array(backgrounds)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
