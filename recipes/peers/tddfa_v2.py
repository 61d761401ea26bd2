"""Run 3DDFA_V2, in an environment for its clone: ``python tddfa_v2.py PHOTOS OUT.npz --clone 3DDFA_V2``.

Writes a predictions file. Needs a clone of the repository, built with ``build.sh``, with its weights and face model
(README.md).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from _peer import arguments, fail, run


def to_68(vertices: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert 3DDFA_V2's (3, 68) to ours (68, 3): its x and y are 0-based pixels, its z grows towards the camera.

    Its similar_transform converts the 1-based frame of its training data to 0-based pixels (x − 1, size − y), scales z
    like x and y and shifts the smallest z to 0. Its rasteriser keeps the larger z in front.
    """
    points = np.asarray(vertices, np.float64)
    if points.shape != (3, 68):
        raise ValueError(f"3DDFA_V2 gave shape {points.shape}; expected (3, 68), from recon_vers(dense_flag=False)")
    return points.T * (1, 1, -1)


def box_corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """A tight landmark box as landmarks (2, n) for 3DDFA_V2's crop_policy "landmark", which reads only their extent."""
    return np.asarray(box, np.float64).reshape(2, 2).T


def check_clone(clone: Path, config: str, detector: bool) -> dict[str, Any]:
    """Read the configuration of a clone; stop with an error that names missing files."""
    if not (clone / "TDDFA.py").is_file():
        fail(f"{clone}: no TDDFA.py; expected a clone of https://github.com/cleardusk/3DDFA_V2")
    if not (clone / config).is_file():
        fail(f"{clone / config}: no such file; expected a configuration of 3DDFA_V2")
    try:
        import yaml
    except ImportError as error:
        fail(f"3DDFA_V2's environment lacks a module ({error}); see README.md")
    settings: dict[str, Any] = yaml.safe_load((clone / config).read_text(encoding="utf-8"))
    size = settings.get("size", 120)
    needed = [
        settings["checkpoint_fp"],
        settings.get("bfm_fp", "configs/bfm_noneck_v3.pkl"),
        settings.get("param_mean_std_fp", f"configs/param_mean_std_62d_{size}x{size}.pkl"),
    ]
    if detector:
        needed.append("FaceBoxes/weights/FaceBoxesProd.pth")
    missing = [str(clone / name) for name in needed if not (clone / name).is_file()]
    if missing:
        fail("3DDFA_V2 lacks these files (its readme files say where to get them):\n  " + "\n  ".join(missing))
    return settings


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--clone", type=Path, required=True, help="folder of the 3DDFA_V2 repository")
    parser.add_argument("--config", default="configs/mb1_120x120.yml", help="configuration file, relative to the clone")
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    clone = options.clone.resolve()
    for name in ("photos", "out", "box_file"):
        value = getattr(options, name)
        setattr(options, name, value.resolve() if value else None)
    detect = options.boxes == "none"
    settings = check_clone(clone, options.config, detect)
    # Its files refer to each other by paths relative to the clone.
    sys.path.insert(0, str(clone))
    os.chdir(clone)
    try:
        from TDDFA import TDDFA

        net = TDDFA(gpu_mode=options.gpu, **settings)
        if detect:
            from FaceBoxes import FaceBoxes

            face_boxes = FaceBoxes()
    except (ImportError, AttributeError) as error:
        fail(f"3DDFA_V2 does not start ({error}); see the environment in README.md, and build the clone (build.sh)")

    def find(image: NDArray[np.uint8], box: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        if box is None:
            parameters, rois = net(bgr, face_boxes(bgr))
        else:
            parameters, rois = net(bgr, [box_corners(box)], crop_policy="landmark")
        return [to_68(vertices) for vertices in net.recon_vers(parameters, rois, dense_flag=False)]

    policy = "FaceBoxes" if detect else "landmark box"
    facts = {"config": options.config, "crop_policy": policy}
    run(find, options, {"tool": "3DDFA_V2", "version": options.config, "settings": facts})


if __name__ == "__main__":
    main()
