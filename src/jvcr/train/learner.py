"""Landmark networks and their losses: JVCR and alternatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from jvcr.markups.markup import Markup
from jvcr.model.checkpoint import Header, save_weights
from jvcr.model.config import ModelConfig
from jvcr.model.jvcr import JVCR
from jvcr.runtime.base import Runtime
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.data.augment import NO_FACE_UNIT
from jvcr.train.losses import coordinate_loss, voxel_loss
from jvcr.train.targets import rasterise
from jvcr.train.vary import Rows, seeded


class Losses(NamedTuple):
    """Scalars. ``loss`` is minimised in the current stage."""

    loss: Tensor
    voxel_loss: Tensor
    coordinate_loss: Tensor


@dataclass(frozen=True)
class Part:
    """Part of a batch: the share of one device, or of one accumulation step.

    Attributes:
        crops: (B, S, S, 3), 0…255. points_unit: (B, N, 3). weight: (B,). taught: (B, N) bool.
        weight_sum: divisor of weighted sums over this part, so that the mean over parts equals the mean of the batch.
        rows: position of the part in the batch.
        seed: seed of the batch's noise.
    """

    crops: Tensor
    points_unit: Tensor
    weight: Tensor
    taught: Tensor
    weight_sum: Tensor
    rows: Rows
    seed: int


class Learner(Protocol):
    """A network that can be trained.

    Attributes:
        network: its trainable module.
        about: its sizes, stored with the weights.
    """

    network: nn.Module
    about: ModelConfig

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        """Losses of a part, computed through ``network`` (which may be wrapped by a strategy or compiled)."""
        ...

    def runtime(self, network: nn.Module, dtype: torch.dtype | None) -> Runtime:
        """The network as a runtime for validation, with autocast to ``dtype``."""
        ...

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights with configuration and markup."""
        ...


class JVCRLearner:
    """G and P, trained by eq. 3 to 5."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        self.config, self.about, self.markup = config, model, markup
        self.network: nn.Module = JVCR(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        """Eq. 3 to 5 for a part of a batch."""
        how, points = self.config.loss, part.points_unit
        shapes = self.about.volume_shapes
        true = [rasterise(points, shape, self.config.sigma_vox, how.whole_voxels) for shape in shapes]
        read = None if stage.end_to_end else noisy(true[-1], stage.volume_noise, part)
        output = network(part.crops, read)
        predicted = output.points_unit
        edges, gaps = (
            torch.tensor(pairs, device=predicted.device) if factor else None
            for factor, pairs in ((how.structure, self.markup.edges), (how.gaps, self.markup.gaps))
        )
        voxel = voxel_loss(output.volumes, true, how, self._doubtful(part))
        coordinate = coordinate_loss(
            predicted, points, part.weight, how, shapes[-1][-1], part.weight_sum, edges, gaps, part.taught
        )
        return Losses(voxel + stage.coordinate_weight * coordinate, voxel, coordinate)

    def _doubtful(self, part: Part) -> list[Tensor] | None:
        """The voxels around untaught landmarks; None if all landmarks are taught."""
        if bool(part.taught.all()):
            return None
        outside = torch.full_like(part.points_unit, NO_FACE_UNIT)
        alone = torch.where(part.taught.unsqueeze(2), outside, part.points_unit)
        return [rasterise(alone, shape, self.config.sigma_vox) for shape in self.about.volume_shapes]

    def runtime(self, network: nn.Module, dtype: torch.dtype | None) -> Runtime:
        """The network as a runtime, with autocast to ``dtype``."""
        assert isinstance(network, JVCR)
        return TorchRuntime(network, self.markup, dtype)

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights with configuration and markup."""
        assert isinstance(network, JVCR)
        save_weights(path, network, Header(self.about, self.markup, about))


def noisy(volume: Tensor, noise: float, part: Part) -> Tensor:
    """Add normal noise to a volume (B, …). It depends only on the batch's seed and the row."""
    if not noise:
        return volume
    generator = seeded(part.seed, "volume noise")
    whole = torch.randn((part.rows.total, *volume.shape[1:]), generator=generator)
    return volume + noise * part.rows.of(whole).to(volume.device)
