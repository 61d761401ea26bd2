"""Which precision a device computes in natively."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]


def resolved(precision: str, device: torch.device) -> Precision:
    """The precision of a run: ``"auto"`` becomes ``"bf16-mixed"`` where ``computes_bf16``, otherwise ``"32-true"``."""
    if precision == "auto":
        return "bf16-mixed" if computes_bf16(device) else "32-true"
    return "bf16-mixed" if precision == "bf16-mixed" else "32-true"


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16. Where they are emulated, training takes many times as long."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    # PyTorch before 2.10 has no public way to ask; without an answer, 32 bits are the safe choice.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
