"""OpenVINO (extra ``openvino``): the fastest on many CPUs, from the same ONNX files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from jvcr.extras import missing
from jvcr.images import Image
from jvcr.runtime.base import Prediction, check_crops, described

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
PRECISIONS = tuple(_HINTS)


class OpenVinoRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: an ONNX file, or OpenVINO's own (``.xml``).
        threads: of one call; 0 takes all cores.
        precision: of the arithmetic; ``"bf16"`` is fast where the processor has it, and is taken for ``"fp16"`` where
            it has not that.
        device: ``"cpu"``, ``"gpu"`` or ``"npu"`` (Intel's).
    Raises:
        MissingExtra: OpenVINO is not installed.
        FileNotFoundError, ValueError: as of ``OnnxRuntime``; a device or precision that OpenVINO has not here.
    """

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32", device: str = "cpu") -> None:
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise missing("openvino", error) from error
        if precision not in _HINTS:
            raise ValueError(f"precision is {precision!r}; OpenVINO has {', '.join(_HINTS)}")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file")
        core = openvino.Core()
        if device.upper() not in {name.split(".")[0] for name in core.available_devices}:
            found = ", ".join(core.available_devices).lower()
            raise ValueError(f"OpenVINO sees no device {device!r} on this machine; expected one of {found}")
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            # Threads may be moved: pinned ones of two processes would share a core.
            settings |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        try:
            model = core.read_model(path)
            self._network = core.compile_model(model, device.upper(), settings)
        except RuntimeError as error:
            raise ValueError(f"{path}: OpenVINO cannot load it ({error})") from error
        header = ["framework", "jvcr"]
        text = model.get_rt_info(header).astype(str) if model.has_rt_info(header) else None
        self.image_size, self.markup, self.crop_rule = described(path, text)
        self._requests = threading.local()

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        # A request belongs to a thread.
        if not hasattr(self._requests, "own"):
            self._requests.own = self._network.create_infer_request()
        found = self._requests.own.infer({"crops": np.ascontiguousarray(crops)}, share_inputs=True)
        return Prediction(np.asarray(found["volume"], np.float32), np.asarray(found["points_unit"], np.float32))
