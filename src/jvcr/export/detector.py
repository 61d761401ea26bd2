"""Export the face detector to ONNX, with a parity check."""

from __future__ import annotations

import copy
import secrets
from pathlib import Path

import numpy as np
import torch
from torch import nn

from jvcr.detect.network import NetworkDetector
from jvcr.export.onnx import smooth_pictures, write_onnx
from jvcr.model.detector import DetectorInference, FaceDetector
from jvcr.model.detector_file import KEY, DetectorHeader

BOUND = 0.02
"""Largest allowed difference from PyTorch: of a box, relative to its size, and of the heat."""


def export_detector(network: FaceDetector, header: DetectorHeader, path: Path, half: bool = True) -> float:
    """Write ONNX: ``photos`` (B, H, W, 3) uint8, H and W multiples of ``config.multiple`` → ``cells`` (B, 7, H/8, W/8).

    Returns:
        the largest difference of a box from PyTorch's, relative to its size, on smooth random pictures.
    Raises:
        ValueError: a difference exceeds ``BOUND``. An existing file is left untouched.
    """
    size, multiple = header.config.image_size, header.config.multiple
    inference = _with_biases(DetectorInference(network)).eval()
    # A random name, because the file is deleted afterwards.
    candidate = path.with_name(f".jvcr-{secrets.token_hex(6)}.onnx")
    try:
        write_onnx(
            inference,
            torch.zeros(2, size, size, 3, dtype=torch.uint8),
            candidate,
            names=("photos", "cells"),
            shape={
                0: torch.export.Dim("batch", min=1, max=4096),
                1: multiple * torch.export.Dim("rows", min=1, max=512),
                2: multiple * torch.export.Dim("columns", min=1, max=512),
            },
            metadata={KEY: header.to_json()},
            half=half,
        )
        pictures = smooth_pictures(8, size)
        with torch.inference_mode():
            ours = inference(torch.from_numpy(pictures)).numpy()
        theirs = NetworkDetector(candidate).cells(pictures)
        # Channels 1 and 2 are centres in cells; 3 and 4 are logarithms of sizes in cells.
        moved = np.abs(ours[:, 1:3] - theirs[:, 1:3]) / np.exp(ours[:, 3:5])
        difference = float(max(moved.max(), np.abs(ours[:, 3:5] - theirs[:, 3:5]).max()))
        if difference > BOUND or float(np.abs(ours[:, 0] - theirs[:, 0]).max()) > BOUND:
            raise ValueError(
                f"{path}: the exported detector's boxes differ from PyTorch's by up to {100 * difference:.2f} % of "
                f"their size (allowed: {100 * BOUND:g} %), and it was not kept; try --no-half"
            )
        candidate.replace(path)
    finally:
        candidate.unlink(missing_ok=True)
    return difference


def _with_biases(network: DetectorInference) -> DetectorInference:
    """Add zero biases to convolutions without one; the output stays the same.

    A missing bias is exported as one that is computed on each call. Then ONNX Runtime cannot fuse the convolution with
    the next layer.
    """
    network = copy.deepcopy(network)
    for part in network.modules():
        if isinstance(part, nn.Conv2d) and part.bias is None:
            part.bias = nn.Parameter(torch.zeros(part.out_channels))
    return network
