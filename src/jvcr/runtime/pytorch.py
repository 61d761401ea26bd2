"""The network in PyTorch, for validation during training and for parity tests."""

from __future__ import annotations

import torch

from jvcr.images import Image
from jvcr.markup import Markup
from jvcr.model.jvcr import JVCR
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
        device = next(self.model.parameters()).device
        was_training = self.model.training
        self.model.eval()
        with (
            torch.inference_mode(),
            torch.autocast(device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None),
        ):
            output = self.model(torch.from_numpy(crops).to(device))
        self.model.train(was_training)
        return Prediction(output.volumes[-1].float().cpu().numpy(), output.points_unit.float().cpu().numpy())
