"""The network in PyTorch, for validation during training and for parity tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jvcr.frames import CropRule
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.model.jvcr import JVCROutput
from jvcr.runtime.base import Prediction
from jvcr.runtime.confidence import Confidence


class TorchRuntime:
    """Wraps a network as a ``Runtime``. During a call, the network is in evaluation mode.

    Args:
        model: a ``JVCR``, or another network with the same ``config`` and output types.
        markup: of the network's landmarks.
        autocast_dtype: run under autocast in this type (e.g. ``torch.bfloat16``); None for float32.
        confidence: constants of the face score stored with the weights; None uses the defaults.
    """

    def __init__(
        self,
        model: nn.Module,
        markup: Markup,
        autocast_dtype: torch.dtype | None = None,
        confidence: Confidence | None = None,
    ) -> None:
        config: Any = model.config
        self.model = model
        self.markup = markup
        self.image_size: int = config.image_size
        self.crop_rule: CropRule = config.crop
        self.confidence = confidence or Confidence()
        self.autocast_dtype = autocast_dtype

    def output(self, crops: Image) -> JVCROutput:
        """The network's full output for (B, S, S, 3) uint8 crops."""
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

    def __call__(self, crops: Image) -> Prediction:
        output = self.output(crops)
        volume, points_unit = (values.float().cpu().numpy() for values in (output.volumes[-1], output.points_unit))
        return Prediction.from_volume(volume, points_unit)

    def stages(self, crops: Image) -> tuple[NDArray[np.float32], ...]:
        """(B, S, S, 3) uint8 RGB → every stack's volume, (B, d_m, H, W), coarse to fine."""
        return tuple(volume.float().cpu().numpy() for volume in self.output(crops).volumes)
