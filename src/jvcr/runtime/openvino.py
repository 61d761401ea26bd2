"""OpenVINO (extra ``openvino``), the fastest backend on many CPUs. Loads the same ONNX files."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np

from jvcr.extras import missing
from jvcr.images import Image
from jvcr.runtime.base import VOLUME_OUTPUTS, Prediction, bounded_threads, check_crops
from jvcr.runtime.checksum import check_mark, verify
from jvcr.runtime.header import read_described

_FEW = 2
"""Up to this batch size (a crop and its mirror image), the network is compiled for a fixed batch: a fifth faster."""

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
PRECISIONS = tuple(_HINTS)


class OpenVinoRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: an ONNX file, or one in OpenVINO's own format (``.xml``).
        threads: CPU threads per call, at most one per core; 0 uses all cores.
        precision: of the arithmetic. ``"bf16"`` is fast on CPUs that support it; OpenVINO also uses it for ``"fp16"``
            on CPUs without fp16.
        device: ``"cpu"``, or Intel's ``"gpu"`` or ``"npu"``.
    Raises:
        MissingExtra: OpenVINO is not installed.
        FileNotFoundError: no such file.
        ValueError: not a file of this project, or OpenVINO does not support the device or precision here.
    """

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32", device: str = "cpu") -> None:
        try:
            import openvino
        except ModuleNotFoundError as error:
            raise missing("openvino", error) from error
        if precision not in _HINTS:
            raise ValueError(f"precision is {precision!r}; with OpenVINO, expected one of {', '.join(_HINTS)}")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file")
        core = openvino.Core()
        if device.upper() not in {name.split(".")[0] for name in core.available_devices}:
            found = ", ".join(core.available_devices).lower()
            raise ValueError(f"OpenVINO finds no device {device!r} on this machine; expected one of {found}")
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            # No pinning, because two processes would pin their threads to the same cores.
            settings |= {"INFERENCE_NUM_THREADS": bounded_threads(threads), "ENABLE_CPU_PINNING": False}
        self._compile = functools.partial(core.compile_model, device_name=device.upper(), config=settings)
        self._networks: dict[int, Any] = {}
        self._lock, self._requests = threading.Lock(), threading.local()
        beside = path.with_suffix(".bin")
        sealed = verify(path, [beside] if path.suffix == ".xml" and beside.is_file() else [])
        try:
            self._model = core.read_model(path)
        except Exception as error:  # a damaged file can be wrong in any way
            raise ValueError(f"{path}: OpenVINO cannot load it ({error})") from error
        header = ["framework", "jvcr"]
        text = self._model.get_rt_info(header).astype(str) if self._model.has_rt_info(header) else None
        check_mark(path, text or "", sealed)
        self.image_size, self.markup, self.crop_rule, self.confidence = read_described(path, text)
        names = {name for end in (*self._model.inputs, *self._model.outputs) for name in end.get_names()}
        self._volume = next((name for name in VOLUME_OUTPUTS if name in names), "cells")
        if missing_names := {"crops", self._volume, "points_unit"} - names:
            raise ValueError(
                f"{path}: the network has no input or output {', '.join(sorted(missing_names))}; it has {sorted(names)}"
            )
        try:
            self._network(1)
        except Exception as error:
            raise ValueError(f"{path}: OpenVINO cannot compile it for {device} ({error})") from error

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        # Inference requests are not thread-safe, so each thread has its own.
        own: dict[int, Any] = self._requests.__dict__.setdefault("networks", {})
        batch = len(crops) if len(crops) <= _FEW else 0
        if batch not in own:
            own[batch] = self._network(batch).create_infer_request()
        found = own[batch].infer({"crops": np.ascontiguousarray(crops)}, share_inputs=True)
        cells, points_unit = (np.asarray(found[name], np.float32) for name in (self._volume, "points_unit"))
        return Prediction.from_output(cells, points_unit)

    def _network(self, batch: int) -> Any:
        """The network compiled for this batch size; 0 is any batch size."""
        with self._lock:
            if batch not in self._networks:
                model = self._model.clone()
                if batch:
                    model.reshape([batch, self.image_size, self.image_size, 3])
                self._networks[batch] = self._compile(model)
            return self._networks[batch]
