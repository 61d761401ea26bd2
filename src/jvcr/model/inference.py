"""What is needed at prediction."""

from __future__ import annotations

from torch import Tensor, nn

from jvcr.model.jvcr import JVCR


class Inference(nn.Module):
    """crops → (compact volume, points_unit), both float32."""

    def __init__(self, model: JVCR) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(crops)
        return output.volumes[-1].float(), output.points_unit.float()
