"""PyTorch (extra ``train``) as a backend for prediction: compiled, on any of its devices."""

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
"""Name of the header inside a TorchScript file."""


class ScriptRuntime:
    """A TorchScript file of `jvcr export`."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        entries: dict[str, str | bytes] = {SCRIPT_ENTRY: ""}
        sealed = verify(path)
        try:
            self._network = torch.jit.load(str(path), device, _extra_files=entries)  # type: ignore[no-untyped-call]
        except Exception as error:  # a damaged file can be wrong in any way
            raise ValueError(f"{path}: PyTorch cannot load it ({error})") from error
        self._device = device
        text = entries[SCRIPT_ENTRY]
        # Where there is no such entry, what was given comes back.
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
    """The network of a ``.safetensors`` file, or of a TorchScript ``.pt``, whose precision is its own.

    Args:
        device: as PyTorch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        precision: ``"fp32"``, or autocast to ``"bf16"`` or ``"fp16"``.
        threads: of the whole process, at most one a core; 0 leaves them.
        compile: through ``torch.compile``; not for TorchScript, which is an error.
    Raises:
        FileNotFoundError, ValueError: as of ``load_weights``; a device or precision that is not there.
    """
    if precision not in _TYPES:
        raise ValueError(f"precision is {precision!r}; PyTorch has {', '.join(_TYPES)}")
    if path.suffix not in (".safetensors", ".pt"):
        raise ValueError(f"{path}: expected .safetensors, as `jvcr train` writes, or .pt of `jvcr export`, for PyTorch")
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
            raise ValueError(f"{path}: TorchScript is not compiled again; give the .safetensors file, or leave compile")
        return ScriptRuntime(path, device)
    model, header = load_weights(path)
    runtime = TorchRuntime(
        model.to(device), header.markup, _TYPES[precision], read_confidence(Fields(path, "about", header.about))
    )
    if compile:
        model.compile()
    return runtime
