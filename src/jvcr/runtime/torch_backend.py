"""PyTorch (extra ``train``) as a backend for prediction: compiled, on any of its devices."""

from __future__ import annotations

from pathlib import Path

import torch

from jvcr.model.checkpoint import load_weights
from jvcr.runtime.pytorch import TorchRuntime

_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def open_torch(path: Path, device: str = "cpu", precision: str = "fp32", threads: int = 0) -> TorchRuntime:
    """The network of a ``.safetensors`` file.

    Args:
        device: as PyTorch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        precision: ``"fp32"``, or autocast to ``"bf16"`` or ``"fp16"``.
        threads: of the whole process; 0 leaves them.
    Raises:
        FileNotFoundError, ValueError: as of ``load_weights``; a device or precision that is not there.
    """
    if precision not in _TYPES:
        raise ValueError(f"precision is {precision!r}; PyTorch has {', '.join(_TYPES)}")
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: PyTorch reads .safetensors, as `jvcr train` writes them, not exported files")
    if threads:
        torch.set_num_threads(threads)
    model, header = load_weights(path)
    try:
        model = model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"PyTorch has no device {device!r} on this machine ({error})") from error
    return TorchRuntime(model, header.markup, _TYPES[precision])
