"""ONNX Runtime: the default backend. Needs nothing of PyTorch."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from jvcr.images import Image
from jvcr.runtime.base import Prediction, check_crops, described

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
        path: the ONNX file; its metadata says crop size and markup.
        threads: of one call; 0 takes all cores.
        device: one of ``PROVIDERS``; what it cannot compute, the CPU does.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file, or not one of this project; a device that this ONNX Runtime has not.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "cpu") -> None:
        self._session, metadata = open_session(path, threads, device)
        self.image_size, self.markup, self.crop_rule, self.confidence = described(path, metadata.get("jvcr"))

    def __call__(self, crops: Image) -> Prediction:
        check_crops(crops, self.image_size)
        volume, points_unit = self._session.run(["volume", "points_unit"], {"crops": crops})
        return Prediction(volume, points_unit)


def open_session(path: Path, threads: int, device: str = "cpu") -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """A loaded ONNX file, and the entries of its metadata.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file; a device that this ONNX Runtime has not.
    """
    if device not in PROVIDERS:
        raise ValueError(f"device is {device!r}; ONNX Runtime has {', '.join(PROVIDERS)}")
    provider, package = PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(f"this ONNX Runtime has no {provider}; expected the package {package} in place of onnxruntime")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Idle threads wait instead of spinning: a spinning pool slows everything else on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [provider] if device == "cpu" else [provider, "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise ValueError(f"{path}: ONNX Runtime cannot load it ({error})") from error
    return session, session.get_modelmeta().custom_metadata_map
