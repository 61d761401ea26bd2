"""The network in PyTorch, for validation during training and for parity tests."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from jvcr.images import Image
from jvcr.markup import Markup
from jvcr.model.jvcr import JVCR, JVCROutput
from jvcr.runtime.base import Prediction


class TorchRuntime:
    """Wraps a network as a ``Runtime``; it is switched to evaluation mode for the call and back afterwards.

    Args:
        autocast_dtype: run under autocast in this type (e.g. ``torch.bfloat16``); None for float32.
    """

    def __init__(self, model: JVCR, markup: Markup, autocast_dtype: torch.dtype | None = None) -> None:
        self.model = model
        self.markup = markup
        self.image_size = model.config.image_size
        self.autocast_dtype = autocast_dtype

    def __call__(self, crops: Image) -> Prediction:
        output = self._run(crops)
        return Prediction(output.volumes[-1].float().cpu().numpy(), output.points_unit.float().cpu().numpy())

    def stages(self, crops: Image) -> tuple[NDArray[np.float32], ...]:
        """(B, S, S, 3) uint8 RGB → every stack's volume, (B, d_m, H, W), coarse to fine."""
        return tuple(volume.float().cpu().numpy() for volume in self._run(crops).volumes)

    def _run(self, crops: Image) -> JVCROutput:
        device = next(self.model.parameters()).device
        was_training = self.model.training
        self.model.eval()
        with (
            torch.inference_mode(),
            torch.autocast(device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None),
        ):
            output = self.model(torch.from_numpy(crops).to(device))
        self.model.train(was_training)
        return output
