"""3D facial landmarks from one photo: Joint Voxel and Coordinate Regression (JVCR).

from jvcr import Landmarker
faces = Landmarker().predict(image_rgb)
faces[0].landmarks   # (68, 3) image pixels, x right, y down, z away from the camera
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvcr.camera import Camera as Camera
    from jvcr.frames import Box as Box
    from jvcr.geometry import HeadPose as HeadPose
    from jvcr.images import read_image as read_image
    from jvcr.landmarker import Landmarker as Landmarker
    from jvcr.markups.markup import MARKUP_68 as MARKUP_68
    from jvcr.markups.markup import Markup as Markup
    from jvcr.results import Face as Face

__version__ = "0.2.0"

_HOME = {
    "Box": "frames",
    "Camera": "camera",
    "Face": "results",
    "HeadPose": "geometry",
    "Landmarker": "landmarker",
    "MARKUP_68": "markups.markup",
    "Markup": "markups.markup",
    "read_image": "images",
}

__all__ = ["MARKUP_68", "Box", "Camera", "Face", "HeadPose", "Landmarker", "Markup", "read_image"]


def __getattr__(name: str) -> Any:
    # The public names are imported when first used, so that `import jvcr` costs nothing.
    if name in _HOME:
        return getattr(import_module(f"jvcr.{_HOME[name]}"), name)
    raise AttributeError(f"module 'jvcr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
