"""Paths of trained weights: the shipped ones in the package, larger ones beside it."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = ("small", "nano")
"""Names of the landmark networks inside the package."""

DETECTORS = ("detector",)
"""Names of the detectors inside the package."""

SEPARATE = ("large",)
"""Names of weights that are in the repository's folder ``weights``, but not in the installed package."""

FOLDER_VARIABLE = "JVCR_WEIGHTS"

_PACKAGE = Path(__file__).parent


def weights_path(weights: str | Path, ending: str = ".onnx") -> Path:
    """Where the weights of a name (``SHIPPED``, ``DETECTORS``, ``SEPARATE``) or path are; ``.safetensors`` are the same
    for PyTorch.

    Separate weights are looked for in the folder that the environment variable ``JVCR_WEIGHTS`` names, then in the
    folder ``weights`` of the repository that the package runs from.

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: separate weights that are not on this machine.
    """
    if isinstance(weights, str) and weights in (*SHIPPED, *DETECTORS):
        return _PACKAGE / f"{weights}{ending}"
    if isinstance(weights, str) and weights in SEPARATE:
        return _separate(f"{weights}{ending}")
    path = Path(weights)
    if not path.suffix and not path.exists():
        names = ", ".join((*SHIPPED, *SEPARATE))
        raise ValueError(f"weights {str(weights)!r} are unknown; expected one of {names} or a file (*{ending})")
    return path


def _separate(file: str) -> Path:
    folders = [Path(given)] if (given := os.environ.get(FOLDER_VARIABLE)) else []
    # src/jvcr/weights → the repository, when the package runs from a checkout.
    folders.append(_PACKAGE.parents[2] / "weights")
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    raise FileNotFoundError(
        f"weights {file} are not inside the package, because of their size, and not in "
        f"{' nor in '.join(map(str, folders))}: take weights/{file} from the project's repository, and give its path, "
        f"or name its folder in the environment variable {FOLDER_VARIABLE}"
    )
