"""ONNX Runtime, the default backend. It needs no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from jvcr.images import Image
from jvcr.runtime.base import Prediction, bounded_threads, check_crops
from jvcr.runtime.checksum import check_mark, verify
from jvcr.runtime.header import read_described

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", ""),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml on Windows"),
}
"""ONNX Runtime's names of the devices, and the package that has them."""


class OnnxRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: the ONNX file; its metadata states crop size and markup.
        threads: of one call, at most one per core; 0 uses all cores.
        device: one of ``PROVIDERS``; operations that it lacks run on the CPU.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file, or not one of this project; a device that this build of ONNX Runtime lacks.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "cpu") -> None:
        self._session, metadata = open_session(path, threads, device)
        self.image_size, self.markup, self.crop_rule, self.confidence = read_described(path, metadata.get("jvcr"))
        size, points = self.image_size, self.markup.n_points
        check_ends(path, self._session.get_inputs(), {"crops": (None, size, size, 3)})
        check_ends(path, self._session.get_outputs(), {"volume": (None,) * 4, "points_unit": (None, points, 3)})

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        volume, points_unit = self._session.run(["volume", "points_unit"], {"crops": crops})
        return Prediction(volume, points_unit)


def open_session(path: Path, threads: int, device: str = "cpu") -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """A loaded ONNX file, and the entries of its metadata.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file, or a damaged one; a device that this build of ONNX Runtime lacks; threads below 0.
    """
    if device not in PROVIDERS:
        raise ValueError(f"device is {device!r}; ONNX Runtime has {', '.join(PROVIDERS)}")
    provider, package = PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(f"this ONNX Runtime has no {provider}; expected the package {package} in place of onnxruntime")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = bounded_threads(threads)
    options.log_severity_level = 3
    # Idle threads wait instead of spinning: a spinning pool slows everything else on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [provider] if device == "cpu" else [provider, "CPUExecutionProvider"]
    # Before its parser sees it.
    sealed = verify(path)
    try:
        # Its own fallback would print to stdout and try again without the device.
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise ValueError(f"{path}: ONNX Runtime cannot load it ({error})") from error
    for description in metadata.values():
        check_mark(path, description, sealed)
    return session, metadata


def check_ends(path: Path, found: Any, expected: dict[str, tuple[int | None, ...]]) -> None:
    """Raise ValueError unless a network has these inputs or outputs; None stands for any extent."""
    try:
        shapes = {end.name: tuple(end.shape) for end in found}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: damaged: a name in it is not text ({error})") from error
    for name, shape in expected.items():
        there = shapes.get(name)
        fits = there is not None and len(there) == len(shape)
        if there is None or not fits or any(s is not None and t != s for t, s in zip(there, shape, strict=True)):
            raise ValueError(
                f"{path}: its network has {shapes}, and its metadata describe {name} {shape}; expected a file written "
                "by `jvcr export`"
            )
