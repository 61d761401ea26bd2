"""Write the constants that the browser package shares with Python to ``web/src/constants.json``.

    python web/tools/constants.py            # write it
    python web/tools/constants.py --check    # exit code 1 if it is not up to date

Nothing in ``web/`` repeats a number that is in this file: thresholds, score constants, mean shape and mirror pairs come
from the Python modules and the headers of the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime

import jvcr
from jvcr import distinct, expression, find, frames, geometry, locate, results
from jvcr.detect import network, second_opinion
from jvcr.io import inputs
from jvcr.runtime import confidence, landmark_confidence
from jvcr.runtime.header import detector_multiple, read_described
from jvcr.video import smooth, track
from jvcr.weights import DETECTORS, SHIPPED, weights_path

TARGET = Path(__file__).parents[1] / "src" / "constants.json"


def constants() -> dict[str, Any]:
    """All values, grouped by the Python module that they come from."""
    return {
        "version": jvcr.__version__,
        "weights": {name: landmark_weights(name) for name in SHIPPED},
        "detectors": {name: detector_weights(name) for name in DETECTORS},
        "detect_network": {
            name.lstrip("_").lower(): getattr(network, name)
            for name in (
                *("SAME_FACE", "DETECT_SIZE", "PROPOSE_SCORE", "LIKELY_SCORE", "_COARSEST", "_GUIDE_SCORE"),
                *(
                    "_GUIDE_LARGEST",
                    "_SURE_SCORE",
                    "_SMALL_TILE",
                    "_GUIDED_TILE",
                    "_GUIDED_MARGIN",
                    "_CLOSE_SIDE",
                    "_CLOSE_BORDER",
                ),
                *("_MAY_GROW", "_LARGEST_PICTURE", "_TILE", "_OVERLAP", "_BEYOND", "PADDING"),
            )
        },
        "second_opinion": {
            name.lower(): getattr(second_opinion, name)
            for name in ("SURE_SCORE", "HOPELESS_SCORE", "TILE", "FACTOR", "SAME_PLACE", "CUT_SHARE", "LEAST_SCORE")
        },
        "find": dataclasses.asdict(find.DEFAULT_POLICY),
        "locate": {
            "good_crop": locate.GOOD_CROP._asdict(),
            "sure_crop": locate.SURE_CROP._asdict(),
            "near_crop": locate.NEAR_CROP._asdict(),
            "sure_sigma": locate.SURE_SIGMA,
        },
        "frames": {"crop_rule": dataclasses.asdict(frames.CROP_RULE)},
        "results": {"reliable_sigma": results.RELIABLE_SIGMA},
        "landmark_confidence": {
            "faintest": landmark_confidence._FAINTEST,
            "largest_logit": landmark_confidence._LARGEST_LOGIT,
            "least_sigma": landmark_confidence._LEAST_SIGMA,
            "most_sigma": landmark_confidence._MOST_SIGMA,
        },
        "confidence": {"sizes_px": confidence.SIZES_PX, "least": confidence._LEAST},
        "distinct": {"shared_distance": distinct.SHARED_DISTANCE, "features": distinct._FEATURES},
        "expression": {"scales": {name: dataclasses.asdict(scale) for name, scale in expression.SCALES.items()}},
        "inputs": {"largest_box": inputs._LARGEST_BOX, "smallest_box": inputs._SMALLEST_BOX},
        "geometry": {
            "mean_shape_68": geometry.mean_shape_68().tolist(),
            "levelled": geometry.levelled().tolist(),
        },
        "smooth": {"speed_cutoff_hz": smooth._SPEED_CUTOFF_HZ},
        "track": {
            "keep_score": track._KEEP_SCORE,
            "same_place": track._SAME_PLACE,
            "same_face": track._SAME_FACE,
        },
    }


def landmark_weights(name: str) -> dict[str, Any]:
    """What the header of a landmark network says, and the SHA-256 of its file."""
    path = weights_path(name)
    described = read_described(path, metadata(path).get("jvcr"))
    # The matrices for single landmarks are large; the browser reads them from the file.
    score = dataclasses.replace(described.confidence, landmarks=None)
    return {
        "sha256": sha256(path),
        "image_size": described.image_size,
        "crop_rule": dataclasses.asdict(described.crop_rule),
        "confidence": score.to_dict(),
        "markup": described.markup.to_dict(),
    }


def detector_weights(name: str) -> dict[str, Any]:
    """What the header of a detector says, and the SHA-256 of its file."""
    path = weights_path(name)
    return {"sha256": sha256(path), "multiple": detector_multiple(path, metadata(path)["jvcr-detector"])}


def metadata(path: Path) -> dict[str, str]:
    """The entries of an ONNX file's metadata."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entries: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return entries


def sha256(path: Path) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    text = json.dumps(constants(), indent=1) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if not TARGET.is_file() or json.loads(TARGET.read_text(encoding="utf-8")) != json.loads(text):
        print(f"{TARGET}: not up to date; run `npm run constants` in web/ and commit the file", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
