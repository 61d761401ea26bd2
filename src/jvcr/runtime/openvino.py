"""OpenVINO (extra ``openvino``): the fastest on many CPUs, from the same ONNX files."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np

from jvcr.extras import missing
from jvcr.images import Image
from jvcr.runtime.base import Prediction, bounded_threads, check_crops
from jvcr.runtime.checksum import check_mark, verify
from jvcr.runtime.header import read_described

_FEW = 2
"""Up to this many crops (a face and its mirror image), the network is compiled for that fixed batch size: a fifth
faster."""

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
PRECISIONS = tuple(_HINTS)


class OpenVinoRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: an ONNX file, or OpenVINO's own (``.xml``).
        threads: of one call, at most one a core; 0 takes all cores.
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
        if missing_names := {"crops", "volume", "points_unit"} - names:
            raise ValueError(f"{path}: its network lacks {', '.join(sorted(missing_names))}; it has {sorted(names)}")
        try:
            self._network(1)
        except Exception as error:
            raise ValueError(f"{path}: OpenVINO cannot compile it for {device} ({error})") from error

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        # A request belongs to a thread.
        own: dict[int, Any] = self._requests.__dict__.setdefault("networks", {})
        batch = len(crops) if len(crops) <= _FEW else 0
        if batch not in own:
            own[batch] = self._network(batch).create_infer_request()
        found = own[batch].infer({"crops": np.ascontiguousarray(crops)}, share_inputs=True)
        return Prediction(np.asarray(found["volume"], np.float32), np.asarray(found["points_unit"], np.float32))

    def _network(self, batch: int) -> Any:
        """Compiled for just this batch, or, for 0, for any."""
        with self._lock:
            if batch not in self._networks:
                model = self._model.clone()
                if batch:
                    model.reshape([batch, self.image_size, self.image_size, 3])
                self._networks[batch] = self._compile(model)
            return self._networks[batch]
