"""Export to ONNX, and compare two predictions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from jvcr.frames import unit_to_crop
from jvcr.images import Image
from jvcr.model.checkpoint import Header, write_atomically
from jvcr.model.inference import Inference
from jvcr.model.jvcr import JVCR
from jvcr.model.rounding import to_steps
from jvcr.runtime.base import Prediction
from jvcr.runtime.checksum import BLANK, KEY, seal

OPSET = 20


def export_onnx(model: JVCR, header: Header, path: Path, half: bool = True) -> None:
    """Write the network with a dynamic batch: ``crops`` (B, S, S, 3) uint8 → ``cells``, ``points_unit``.

    Args:
        half: store weights in 16 bits and expand them on loading. The arithmetic stays in 32 bits.
    """
    size = model.config.image_size
    write_onnx(
        Inference(model).eval(),
        torch.zeros(2, size, size, 3, dtype=torch.uint8),
        path,
        names=("crops", "cells", "points_unit"),
        shape={0: torch.export.Dim("batch", min=1, max=4096)},
        metadata={"jvcr": header.to_json()},
        half=half,
    )


def write_onnx(
    network: nn.Module,
    example: Tensor,
    path: Path,
    names: Sequence[str],
    shape: dict[int, Any],
    metadata: dict[str, str],
    half: bool,
) -> None:
    """Write a network with one input.

    Args:
        names: of the input and the outputs.
        shape: the input's dimensions that may vary.
        metadata: entries of the file.
        half: as ``export_onnx``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[names[0]],
            output_names=list(names[1:]),
            dynamic_shapes=(shape,),
            verbose=False,
            # ONNX Runtime folds batch norms on loading. Folded here, they would change the weights before rounding.
            optimize=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    proto = program.model_proto
    _strip_provenance(proto)
    if half:
        _store_half(proto)
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(proto)
    write_atomically(path, lambda temporary: save_sealed(proto, temporary))


def save_sealed(proto: onnx.ModelProto, path: Path) -> None:
    """Save a network with the checksum of the file in its metadata."""
    kept = [entry for entry in proto.metadata_props if entry.key != KEY]
    values = [(entry.key, entry.value) for entry in kept] + [(KEY, BLANK)]
    del proto.metadata_props[:]
    for name, text in values:
        added = proto.metadata_props.add()
        added.key, added.value = name, text
    onnx.save(proto, str(path))
    seal(path)


def _strip_provenance(proto: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they contain paths of the exporting machine, and take half a megabyte."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    proto.graph.doc_string = proto.doc_string = ""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]


def _store_half(proto: onnx.ModelProto) -> None:
    """Replace float32 weights by 16-bit steps, a Cast and a Mul, which ONNX Runtime folds on loading.

    Biases and batch-norm statistics stay in 32 bits: they are few, and the network is sensitive to them.
    """
    nodes = []
    for tensor in list(proto.graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2:
            continue
        name = tensor.name
        steps, size = to_steps(values)
        tensor.CopyFrom(onnx.numpy_helper.from_array(steps, f"{name}_steps"))
        proto.graph.initializer.append(onnx.numpy_helper.from_array(size, f"{name}_step"))
        wide = f"{name}_wide"
        nodes.append(onnx.helper.make_node("Cast", [f"{name}_steps"], [wide], to=onnx.TensorProto.FLOAT))
        nodes.append(onnx.helper.make_node("Mul", [wide, f"{name}_step"], [name]))
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)


class Parity(NamedTuple):
    """Differences of landmarks, in crop pixels, and of the volume, in its own unit."""

    mean_px: float
    max_px: float
    volume_max: float


def landmark_parity(ours: Prediction, theirs: Prediction, size_px: int) -> Parity:
    """Compare two predictions on the same crops of ``size_px`` pixels."""
    difference = unit_to_crop(ours.points_unit, size_px) - unit_to_crop(theirs.points_unit, size_px)
    distance = np.linalg.norm(difference, axis=-1)
    return Parity(float(distance.mean()), float(distance.max()), float(np.abs(ours.volume - theirs.volume).max()))


def smooth_pictures(count: int, size_px: int) -> Image:
    """(count, S, S, 3) seeded random pictures without sharp edges."""
    rough = np.random.default_rng(0).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_CUBIC) for picture in rough])
