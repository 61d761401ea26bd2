"""Losses of the networks that JVCR is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.model.checkpoint import write_atomically
from jvcr.model.config import ModelConfig
from jvcr.paper.claims.networks import Direct, TwoStep, VolumePerLandmark
from jvcr.runtime.base import Prediction, Runtime
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.learner import Losses, Part, noisy
from jvcr.train.losses import coordinate_loss
from jvcr.train.targets import patches, rasterise


def rasterise_each(points_unit: Tensor, shape: tuple[int, int, int], sigma_vox: float) -> Tensor:
    """(B, N, 3) → (B, N·D, H, W): one volume per landmark."""
    batch, count = points_unit.shape[:2]
    volumes = rasterise(points_unit.reshape(-1, 1, 3), shape, sigma_vox)
    return volumes.view(batch, count * shape[0], *shape[1:])


def sparse_voxel_loss(predicted: Tensor, index: Tensor, value: Tensor, foreground: float) -> Tensor:
    """``voxel_loss`` (means) of one volume per landmark, without building the true volumes.

    Args:
        predicted: (B, N, D·H·W).
        index, value: (B, N, K), the occupied voxels, from ``targets.patches``. All other voxels are empty.
    """
    loss: Tensor = _SparseVoxelLoss.apply(predicted, index, value, foreground)  # type: ignore[no-untyped-call]
    return loss


class _SparseVoxelLoss(torch.autograd.Function):
    """The volumes are large, so the gradient is written in one pass, together with the loss."""

    @staticmethod
    def forward(ctx: Any, predicted: Tensor, index: Tensor, value: Tensor, foreground: float) -> Tensor:
        # Treat all voxels as empty, then correct those near the landmarks.
        near = predicted.gather(2, index).float()
        weight = 1 + foreground * value
        empty = torch.linalg.vector_norm(predicted.flatten(), dtype=torch.float32) ** 2
        wrong = weight * (near - value) ** 2 - near**2
        scale = 2 / predicted.numel()
        gradient = predicted * scale
        gradient.scatter_add_(2, index, (scale * (weight * (near - value) - near)).to(gradient.dtype))
        ctx.save_for_backward(gradient)
        return (empty + wrong.sum()) / predicted.numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(gradients[0]), None, None, None


class _PointsOnly(TorchRuntime):
    """A network without a compact volume. The volume is zero, and so is the score that is computed from it."""

    def __call__(self, crops: Image) -> Prediction:
        output = self.output(crops)
        points_unit = output.points_unit.float().cpu().numpy()
        return Prediction.from_volume(np.zeros((len(crops), 1, 1, 1), np.float32), points_unit)


class _Compared:
    """Shared by the three losses.

    Args:
        emptier: factor by which the share of occupied voxels is smaller than in the compact volume. The weight of
            occupied voxels is raised by this factor. Otherwise the network would predict empty volumes for a long time.
    """

    network: nn.Module

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup, emptier: float = 1.0) -> None:
        self.config, self.about, self.markup = config, model, markup
        self.dense = replace(config.loss, foreground=emptier * config.loss.foreground)

    def runtime(self, network: nn.Module, dtype: torch.dtype | None) -> Runtime:
        return _PointsOnly(network, self.markup, dtype)

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        write_atomically(path, lambda temporary: save_file(state, temporary))

    def _each(self, predicted: Sequence[Tensor], points_unit: Tensor, shapes: Sequence[tuple[int, int, int]]) -> Tensor:
        """Eq. 3 on one volume of each shape per landmark; ``voxel_loss`` says what ``columns`` is for.

        Args:
            predicted: (B, N·D, H, W) for each shape (D, H, W).
        """
        total = torch.zeros((), device=points_unit.device)
        for shape, volume in zip(shapes, predicted, strict=True):
            columns = (shape[-1] / shapes[0][-1]) ** 2
            index, value = patches(points_unit, shape, self.config.sigma_vox)
            total = total + columns * sparse_voxel_loss(
                volume.reshape(*points_unit.shape[:2], -1), index, value, self.dense.foreground
            )
        return total

    def _coordinates(self, predicted: Tensor, true: Tensor, part: Part) -> Tensor:
        return coordinate_loss(
            predicted,
            true,
            part.weight,
            self.config.loss,
            self.about.volume_size,
            part.weight_sum,
            taught=part.taught,
        )


class TwoStepLearner(_Compared):
    """Heatmaps use eq. 3 on 2D Gaussians; depth uses the coordinate loss on z. No gradient flows between the two."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        # One blob instead of N, in a plane instead of a cube: 2πσ² of side² pixels, not (2πσ²)^(3/2) of side³ voxels.
        blob = math.sqrt(2 * math.pi) * config.sigma_vox / model.volume_size
        super().__init__(config, model, markup, emptier=model.n_points * blob)
        self.network = TwoStep(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        """See ``jvcr.train.learner.Learner``."""
        # A heatmap is a volume of depth 1, with every landmark at mid-depth.
        flat = torch.cat([part.points_unit[..., :2], torch.full_like(part.points_unit[..., :1], 0.5)], dim=2)
        shapes = [(1, height, width) for _, height, width in self.about.volume_shapes]
        read = None
        if not stage.end_to_end:
            read = noisy(rasterise_each(flat, shapes[-1], self.config.sigma_vox), stage.volume_noise, part)
        output = network(part.crops, read)
        dense = self._each(output.volumes, flat, shapes)
        depth = self._coordinates(output.points_unit[..., 2:], part.points_unit[..., 2:], part)
        return Losses(dense + stage.coordinate_weight * depth, dense, depth)


class DirectLearner(_Compared):
    """Only the coordinate loss."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        super().__init__(config, model, markup)
        self.network = Direct(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        """See ``jvcr.train.learner.Learner``."""
        coordinate = self._coordinates(network(part.crops).points_unit, part.points_unit, part)
        return Losses(stage.coordinate_weight * coordinate, torch.zeros_like(coordinate), coordinate)


class VolumePerLandmarkLearner(_Compared):
    """Eq. 3 on N volumes of each depth."""

    def __init__(self, config: TrainConfig, model: ModelConfig, markup: Markup) -> None:
        super().__init__(config, model, markup, emptier=model.n_points)
        self.network = VolumePerLandmark(model)

    def losses(self, network: nn.Module, part: Part, stage: Stage) -> Losses:
        """See ``jvcr.train.learner.Learner``."""
        output = network(part.crops)
        dense = self._each(output.volumes, part.points_unit, self.about.volume_shapes)
        return Losses(dense, dense, torch.zeros_like(dense))
