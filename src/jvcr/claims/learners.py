"""The losses of the networks JVCR is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from jvcr.claims.networks import Direct, TwoStep, VolumePerLandmark
from jvcr.images import Image
from jvcr.markup import Markup
from jvcr.model.checkpoint import write_atomically
from jvcr.model.config import ModelConfig
from jvcr.runtime.base import Prediction, Runtime
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.learner import Losses, Part, noisy
from jvcr.train.losses import coordinate_loss, voxel_loss
from jvcr.train.targets import rasterise


def rasterise_each(points_unit: Tensor, shape: tuple[int, int, int], sigma_vox: float) -> Tensor:
    """(B, N, 3) → (B, N·D, H, W): one volume a landmark."""
    batch, count = points_unit.shape[:2]
    volumes = rasterise(points_unit.reshape(-1, 1, 3), shape, sigma_vox)
    return volumes.view(batch, count * shape[0], *shape[1:])


class _PointsOnly(TorchRuntime):
    """Such a network has no compact volume; the score, which reads one, is 0."""

    def __call__(self, crops: Image) -> Prediction:
        output = self.output(crops)
        points_unit = output.points_unit.float().cpu().numpy()
        return Prediction(np.zeros((len(crops), 1, 1, 1), np.float32), points_unit)


class _Compared:
    network: nn.Module

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        self.config, self.about, self.markup = config, model, markup

    def runtime(self, network: nn.Module, dtype: torch.dtype | None) -> Runtime:
        return _PointsOnly(network, self.markup, dtype)

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        write_atomically(path, lambda temporary: save_file(state, temporary))

    def _coordinates(self, predicted: Tensor, true: Tensor, part: Part) -> Tensor:
        return coordinate_loss(predicted, true, part.weight, self.config.loss, self.about.volume_size, part.weight_sum)


class TwoStepLearner(_Compared):
    """Heatmaps by eq. 3 on 2D Gaussians; depth by the coordinate loss on z alone. No gradient joins them."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        super().__init__(config, model, markup)
        self.network = TwoStep(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        side = self.about.volume_size
        # A depth of one voxel with every landmark in its middle: a heatmap.
        flat = torch.cat([part.points_unit[..., :2], torch.full_like(part.points_unit[..., :1], 0.5)], dim=2)
        true = rasterise_each(flat, (1, side, side), self.config.sigma_vox)
        output = network(part.crops, None if stage.end_to_end else noisy(true, stage.volume_noise, part))
        dense = voxel_loss(output.volumes, [true] * len(output.volumes), self.config.loss)
        depth = self._coordinates(output.points_unit[..., 2:], part.points_unit[..., 2:], part)
        return Losses(dense + stage.coordinate_weight * depth, dense, depth)


class DirectLearner(_Compared):
    """The coordinate loss alone."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        super().__init__(config, model, markup)
        self.network = Direct(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        coordinate = self._coordinates(network(part.crops).points_unit, part.points_unit, part)
        return Losses(stage.coordinate_weight * coordinate, torch.zeros_like(coordinate), coordinate)


class VolumePerLandmarkLearner(_Compared):
    """Eq. 3 on N volumes of each depth."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        super().__init__(config, model, markup)
        self.network = VolumePerLandmark(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        side = self.about.volume_size
        true = [
            rasterise_each(part.points_unit, (depth, side, side), self.config.sigma_vox) for depth in self.about.depths
        ]
        output = network(part.crops)
        dense = voxel_loss(output.volumes, true, self.config.loss)
        with torch.no_grad():
            coordinate = self._coordinates(output.points_unit, part.points_unit, part)
        return Losses(dense, dense, coordinate)
