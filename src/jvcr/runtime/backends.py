"""Selection of the inference backend by name."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path

from jvcr.runtime.base import Runtime
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path


class Backend(StrEnum):
    """``ONNXRUNTIME`` is always installed; the others need the extras ``openvino`` and ``train``."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    TORCH = "torch"


def open_backend(
    weights: str | Path,
    backend: str = Backend.ONNXRUNTIME,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 0,
    compile: bool = False,
) -> Runtime:
    """Load a network.

    Args:
        weights: a name (``jvcr.weights``) or a file: ``.onnx`` for ONNX Runtime, ``.onnx`` or ``.xml`` for OpenVINO,
            ``.safetensors`` or ``.pt`` for PyTorch.
        backend: one of ``Backend``.
        device: ``"cpu"`` (all backends); ``"cuda"``, ``"coreml"``, ``"directml"`` (ONNX Runtime); ``"gpu"``, ``"npu"``
            (OpenVINO); ``"cuda"``, ``"mps"`` (PyTorch).
        precision: of the arithmetic: ``"fp32"`` (all backends); ``"bf16"``, ``"fp16"`` (OpenVINO, PyTorch).
        threads: CPU threads per call, at most one per core; 0 uses all cores. For PyTorch, this setting applies to the
            whole process.
        compile: use ``torch.compile`` (PyTorch only). The first calls are slow, because they wait for compilation.
    Raises:
        ValueError: an unknown backend, a device or precision that the backend does not support, or a file that it
            cannot load.
        MissingExtra: the backend is not installed. FileNotFoundError: no such file.
    """
    if backend not in list(Backend):
        raise ValueError(f"backend is {backend!r}; expected one of {', '.join(Backend)}")
    if compile and backend != Backend.TORCH:
        raise ValueError(f"{backend} always compiles the network itself; drop the compile argument")
    if backend == Backend.ONNXRUNTIME:
        if precision != "fp32":
            raise ValueError(f"precision is {precision!r}; with ONNX Runtime, the file sets the precision: use fp32")
        return OnnxRuntime(weights_path(weights), threads, device)
    # Optional dependencies are imported on first use only.
    if backend == Backend.OPENVINO:
        from jvcr.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(weights_path(weights), threads, precision, device)
    runtime: Runtime = import_module("jvcr.runtime.torch_backend").open_torch(
        weights_path(weights, ".safetensors"), device, precision, threads, compile
    )
    return runtime
