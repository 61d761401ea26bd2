"""Turn a finished run into the shipped files: ``python recipes/release_weights.py RUN NAME ABOUT.json``.

Writes ``NAME.safetensors`` (kernels and matrices in 16 bits) and, from exactly these rounded weights, ``NAME.onnx``.
Names in ``SHIPPED`` or ``DETECTORS`` of ``jvcr.weights`` go into the package, others into the repository's folder
``weights``. ABOUT.json (data, licence, figures) is merged into the metadata of the run.
"""

import json
import sys
from pathlib import Path

from jvcr.export.detector import export_detector
from jvcr.export.formats import export_checked
from jvcr.model.checkpoint import Header, load_weights, save_weights
from jvcr.model.detector_file import (
    DetectorHeader,
    is_detector,
    load_detector,
    save_detector,
)
from jvcr.weights import DETECTORS, SHIPPED

run, name, about = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
root = Path(__file__).parents[1]
weights = root / "src" / "jvcr" / "weights" if name in (*SHIPPED, *DETECTORS) else root / "weights"
weights.mkdir(exist_ok=True)

source = run / "model.safetensors"
if is_detector(source):
    detector, description = load_detector(source)
    description = DetectorHeader(description.config, {**description.about, **about})
    save_detector(weights / f"{name}.safetensors", detector, description, half=True)
    print(export_detector(*load_detector(weights / f"{name}.safetensors"), weights / f"{name}.onnx"))
    sys.exit()
model, header = load_weights(source)
header = Header(header.config, header.markup, {**header.about, **about})
save_weights(weights / f"{name}.safetensors", model, header, half=True)
rounded, header = load_weights(weights / f"{name}.safetensors")
print(export_checked(rounded, header, weights / f"{name}.onnx"))
