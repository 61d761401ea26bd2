"""PyTorch (extra ``train``) as an inference backend, on any of its devices, optionally compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from jvcr.images import Image
from jvcr.model.checkpoint import load_weights
from jvcr.runtime.base import Prediction, Runtime, bounded_threads, check_crops
from jvcr.runtime.checksum import check_mark, verify
from jvcr.runtime.header import Fields, read_confidence, read_described
from jvcr.runtime.pytorch import TorchRuntime

_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


SCRIPT_ENTRY = "jvcr.json"
"""Name of the header entry in a TorchScript file."""


class ScriptRuntime:
    """A TorchScript file written by `jvcr export`."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        entries: dict[str, str | bytes] = {SCRIPT_ENTRY: ""}
        sealed = verify(path)
        try:
            self._network = torch.jit.load(str(path), device, _extra_files=entries)  # type: ignore[no-untyped-call]
        except Exception as error:  # a damaged file can be wrong in any way
            raise ValueError(f"{path}: PyTorch cannot load it ({error})") from error
        self._device = device
        text = entries[SCRIPT_ENTRY]
        # If the file has no such entry, PyTorch leaves the given value, an empty string.
        header = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        check_mark(path, header, sealed)
        self.image_size, self.markup, self.crop_rule, self.confidence = read_described(path, header or None)

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        with torch.inference_mode():
            cells, points_unit = self._network(torch.from_numpy(np.ascontiguousarray(crops)).to(self._device))
        return Prediction.from_output(cells.float().cpu().numpy(), points_unit.float().cpu().numpy())


def open_torch(
    path: Path, device: str = "cpu", precision: str = "fp32", threads: int = 0, compile: bool = False
) -> Runtime:
    """Load a ``.safetensors`` file or a TorchScript ``.pt`` file.

    Args:
        device: PyTorch's name of the device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        precision: ``"fp32"``, or autocast to ``"bf16"`` or ``"fp16"``. Ignored for TorchScript, which has a fixed
            precision.
        threads: for the whole process, at most one per core; 0 keeps PyTorch's setting.
        compile: use ``torch.compile``; an error for TorchScript.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of this project, damaged, or an unsupported device or precision.
    """
    if precision not in _TYPES:
        raise ValueError(f"precision is {precision!r}; with PyTorch, expected one of {', '.join(_TYPES)}")
    if path.suffix not in (".safetensors", ".pt"):
        raise ValueError(f"{path}: for PyTorch, expected .safetensors from `jvcr train` or .pt from `jvcr export`")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    if bounded_threads(threads):
        torch.set_num_threads(bounded_threads(threads))
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"PyTorch has no device {device!r} on this machine ({error})") from error
    if path.suffix == ".pt":
        if compile:
            raise ValueError(
                f"{path}: TorchScript cannot be compiled again; use the .safetensors file, or drop compile"
            )
        return ScriptRuntime(path, device)
    model, header = load_weights(path)
    runtime = TorchRuntime(
        model.to(device), header.markup, _TYPES[precision], read_confidence(Fields(path, "about", header.about))
    )
    if compile:
        model.compile()
    return runtime
