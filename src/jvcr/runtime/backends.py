"""Backends by name: what runs the landmark network."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path

from jvcr.runtime.base import Runtime
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path


class Backend(StrEnum):
    """``ONNXRUNTIME`` comes with the package; the others with the extras ``openvino`` and ``train``."""

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
    """A loaded network.

    Args:
        weights: a name (``jvcr.weights``), or a file: ``.onnx``; for OpenVINO also ``.xml``; ``.safetensors`` for
            PyTorch.
        backend: one of ``Backend``.
        device: ``"cpu"``; ``"cuda"``, ``"coreml"``, ``"directml"`` (ONNX Runtime), ``"gpu"``, ``"npu"`` (OpenVINO),
            ``"cuda"``, ``"mps"`` (PyTorch).
        precision: of the arithmetic: ``"fp32"``; ``"bf16"``, ``"fp16"`` (OpenVINO, PyTorch).
        threads: CPU threads of a call, at most one a core; 0 takes all cores. PyTorch's number holds for the whole
            process.
        compile: run PyTorch's network through ``torch.compile``; the first calls wait for it.
    Raises:
        ValueError: an unknown name; a device or precision that the backend has not; a file that is not its own.
        MissingExtra: the backend is not installed. FileNotFoundError: no such file.
    """
    if backend not in list(Backend):
        raise ValueError(f"backend is {backend!r}; expected one of {', '.join(Backend)}")
    if compile and backend != Backend.TORCH:
        raise ValueError(f"{backend} compiles by itself; leave compile at False")
    if backend == Backend.ONNXRUNTIME:
        if precision != "fp32":
            raise ValueError(f"precision is {precision!r}; ONNX Runtime computes as the file says: leave it at fp32")
        return OnnxRuntime(weights_path(weights), threads, device)
    # Loaded only when asked for.
    if backend == Backend.OPENVINO:
        from jvcr.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(weights_path(weights), threads, precision, device)
    runtime: Runtime = import_module("jvcr.runtime.torch_backend").open_torch(
        weights_path(weights, ".safetensors"), device, precision, threads, compile
    )
    return runtime
