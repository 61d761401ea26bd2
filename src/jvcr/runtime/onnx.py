"""ONNX Runtime: the default backend. Needs nothing of PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime

from jvcr.frames import CropRule
from jvcr.images import Image
from jvcr.markup import Markup
from jvcr.runtime.base import Prediction


class OnnxRuntime:
    """A network exported by ``jvcr export``.

    Args:
        path: the ONNX file; its metadata says crop size and markup.
        threads: of one call; 0 takes all cores.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file, or not one of this project.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._session, metadata = open_session(path, threads)
        if "jvcr" not in metadata:
            raise ValueError(f"{path}: no 'jvcr' entry in its metadata; expected a file written by `jvcr export`")
        header = json.loads(metadata["jvcr"])
        self.image_size: int = header["config"]["image_size"]
        self.markup = Markup.from_dict(header["markup"])
        self.crop_rule = CropRule(**header["config"].get("crop", {}))

    def __call__(self, crops: Image) -> Prediction:
        expected = (self.image_size, self.image_size, 3)
        if crops.dtype != np.uint8 or crops.shape[1:] != expected:
            raise ValueError(f"expected (B, {', '.join(map(str, expected))}) uint8, got {crops.shape} {crops.dtype}")
        volume, points_unit = self._session.run(["volume", "points_unit"], {"crops": crops})
        return Prediction(volume, points_unit)


def open_session(path: Path, threads: int) -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """A loaded ONNX file, and the entries of its metadata.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ONNX file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Idle threads wait instead of spinning: a spinning pool slows everything else on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exception types share no public base
        raise ValueError(f"{path}: ONNX Runtime cannot load it ({error})") from error
    return session, session.get_modelmeta().custom_metadata_map
