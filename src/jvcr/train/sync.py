"""Batch norm over the batches of all devices, so that the result does not depend on the number of devices."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce. Its gradient is also an all-reduce."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _SyncedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's ``SyncBatchNorm`` requires GPUs; this version supports any backend."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        x = input.float()
        shape = [1, -1] + [1] * (input.ndim - 2)
        # Subtract the mean before squaring, for numerical precision.
        sums = _SumOverProcesses.apply(torch.cat([x.sum(dim=axes), x.new_full((1,), x.numel() / x.shape[1])]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        variance = _SumOverProcesses.apply((centred**2).sum(dim=axes)) / count
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        factor = self.weight * (variance + self.eps).rsqrt()
        return (centred * factor.view(shape) + self.bias.view(shape)).to(input.dtype)


def synchronise_batch_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """If there are several processes, compute batch norm statistics over all of them."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return network
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = _SyncedBatchNorm
    return network
