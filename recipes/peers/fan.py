"""Run face-alignment (FAN with its depth network), in its own environment: ``python fan.py PHOTOS OUT.npz``.

Writes a predictions file. Made for face-alignment 1.5.0. Its weights are not in the wheel: it downloads them on first
use, or reads them from PyTorch's cache (README.md).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from _peer import arguments, fail, run


def to_68(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert face-alignment's (68, 3), in 0-based pixels with z towards the camera, to ours.

    The tool truncates x and y to whole pixels. This is not corrected.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (68, 3):
        raise ValueError(f"face-alignment gave shape {points.shape}; expected (68, 3), from LandmarksType.THREE_D")
    return points * np.array([1.0, 1.0, -1.0])


def weight_files(detector: bool) -> dict[str, str]:
    """Weights that face-alignment needs: file in PyTorch's cache → URL it is downloaded from."""
    import torch
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd.sfd_detector import models_urls as detector_urls

    urls = [models_urls["3DFAN-4"], models_urls["depth"]] + ([detector_urls["s3fd"]] if detector else [])
    return {str(Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]): url for url in urls}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-flip", action="store_true", help="flip_input=False: no flip averaging")
    options = parser.parse_args()
    try:
        import face_alignment
    except ImportError as error:
        fail(f"face-alignment is not installed ({error}); pip install face-alignment==1.5.0")
    # "folder" needs no weights; with given boxes the detector is never called.
    detector = "sfd" if options.boxes == "none" else "folder"
    try:
        net = face_alignment.FaceAlignment(
            face_alignment.LandmarksType.THREE_D,
            device=options.device,
            flip_input=not options.no_flip,
            face_detector=detector,
            compile=False,
        )
    except Exception as error:
        weights = weight_files(detector == "sfd")
        missing = [f"  {file}\n    from {url}" for file, url in weights.items() if not Path(file).is_file()]
        if not missing:
            raise
        fail(f"face-alignment could not load its weights ({error}); add these files:\n" + "\n".join(missing))

    def find(image: NDArray[np.uint8], box: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
        boxes = None if box is None else [box.tolist()]
        found = net.get_landmarks_from_image(image, detected_faces=boxes)
        return [to_68(points) for points in found or []]

    settings: dict[str, Any] = {"landmarks": "THREE_D", "flip_input": not options.no_flip, "face_detector": detector}
    run(find, options, {"tool": "face-alignment (FAN)", "version": face_alignment.__version__, "settings": settings})


if __name__ == "__main__":
    main()
