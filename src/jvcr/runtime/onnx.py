"""ONNX Runtime, the default backend. Does not need PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from jvcr.images import Image
from jvcr.runtime.base import VOLUME_OUTPUTS, Prediction, bounded_threads, check_crops
from jvcr.runtime.checksum import check_mark, verify
from jvcr.runtime.header import read_described

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", ""),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml on Windows"),
}
"""Device → ONNX Runtime's name for it, and the package that supports it."""


class OnnxRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: the ONNX file; its metadata contains crop size and markup.
        threads: CPU threads per call, at most one per core; 0 uses all cores.
        device: one of ``PROVIDERS``. Operations that it does not support run on the CPU.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file of this project, or this build of ONNX Runtime does not support the device.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "cpu") -> None:
        self._settings = (path, threads, device)
        self._session, metadata = open_session(path, threads, device)
        self.image_size, self.markup, self.crop_rule, self.confidence = read_described(path, metadata.get("jvcr"))
        size, points = self.image_size, self.markup.n_points
        check_ends(path, self._session.get_inputs(), {"crops": (None, size, size, 3)})
        outputs = self._session.get_outputs()
        self._volume = next((end.name for end in outputs if end.name in VOLUME_OUTPUTS), "cells")
        volume = (None,) * VOLUME_OUTPUTS[self._volume]
        check_ends(path, outputs, {self._volume: volume, "points_unit": (None, points, 3)})

    def __reduce__(self) -> tuple[Any, ...]:
        # A session cannot be pickled; the copy opens its own.
        return type(self), self._settings

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        return Prediction.from_output(*self._session.run([self._volume, "points_unit"], {"crops": crops}))


def open_session(path: Path, threads: int, device: str = "cpu") -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """Load an ONNX file: the session, and the entries of the file's metadata.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file, a damaged one, a device that this build of ONNX Runtime does not support, or a
            negative number of threads.
    """
    if device not in PROVIDERS:
        raise ValueError(f"device is {device!r}; with ONNX Runtime, expected one of {', '.join(PROVIDERS)}")
    provider, package = PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(f"this build of ONNX Runtime has no {provider}; install {package} in place of onnxruntime")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = bounded_threads(threads)
    options.log_severity_level = 3
    # Idle threads sleep instead of spinning, because spinning threads slow down other processes on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [provider] if device == "cpu" else [provider, "CPUExecutionProvider"]
    # Checked before ONNX Runtime parses the file.
    sealed = verify(path)
    try:
        # ONNX Runtime's own fallback would print to stdout and retry on the CPU.
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise ValueError(f"{path}: ONNX Runtime cannot load it ({error})") from error
    for description in metadata.values():
        check_mark(path, description, sealed)
    return session, metadata


def check_ends(path: Path, found: Any, expected: dict[str, tuple[int | None, ...]]) -> None:
    """Raise ValueError unless a network has the expected inputs or outputs. None in a shape matches any size."""
    try:
        shapes = {end.name: tuple(end.shape) for end in found}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: damaged: the name of an input or output is not valid UTF-8 ({error})") from error
    for name, shape in expected.items():
        there = shapes.get(name)
        fits = there is not None and len(there) == len(shape)
        if there is None or not fits or any(s is not None and t != s for t, s in zip(there, shape, strict=True)):
            raise ValueError(
                f"{path}: the network has {shapes}, but the metadata describes {name} {shape}; expected a file written "
                "by `jvcr export`"
            )
