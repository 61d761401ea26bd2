"""Run MediaPipe Face Mesh, in MediaPipe's own environment: ``python mediapipe_mesh.py PHOTOS OUT.npz``.

Writes a predictions file. Made for mediapipe 0.10.21, the last version with the models in the wheel. README.md says how
the 468 vertices map to the 68 landmarks, and what was measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from _peer import arguments, fail, run

JAW = (127, 234, 93, 58, 172, 136, 149, 176, 152, 400, 378, 365, 397, 288, 323, 454, 356)
"""On the mesh's face oval, from temple to temple through the chin (152). The oval is the edge of the mesh, not the jaw
of the 3D head: landmarks 0–16 are approximations."""
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (6, 197, 5, 4, 75, 97, 2, 326, 305)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)

VERTICES = JAW + BROWS + NOSE + EYES + LIPS
"""The mesh vertex of each of the 68 iBUG landmarks, in the mesh of 468 vertices and in the refined one of 478."""


def to_68(mesh: NDArray[np.floating], width: int, height: int) -> NDArray[np.float64]:
    """Convert Face Mesh's output to the 68 landmarks in pixels.

    Args:
        mesh: (468 or 478, 3): x and y in fractions of the image's width and height, measured from its edge; z in
            fractions of its width, smaller = nearer to the camera.
        width, height: of the image the tool was given.
    Returns:
        (68, 3) pixels, 0-based, integer = pixel centre; z away from the camera.
    Example: x = 0.5 in an image 10 pixels wide is the border between the fifth and sixth pixel: 4.5.
    """
    points = np.asarray(mesh, np.float64)[list(VERTICES)] * (width, height, width)
    points[:, :2] -= 0.5
    return points


def square_around(box: NDArray[np.float64], margin: float) -> tuple[int, int, int]:
    """Left, top and side, in whole pixels, of the square around a box; the margin is in units of its longer side."""
    side = round((1 + 2 * margin) * float(max(box[2] - box[0], box[3] - box[1])))
    left, top = np.round((box[:2] + box[2:]) / 2 - (side - 1) / 2).astype(int)
    return int(left), int(top), max(side, 2)


def cut(image: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) square of the photo; black beyond its border."""
    out = np.zeros((side, side, 3), np.uint8)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 > x0 and y1 > y0:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return out


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--margin", type=float, default=0.5, help="roi: margin in units of the box's longer side")
    parser.add_argument("--refine", action="store_true", help="refine_landmarks: attention model for eyes and lips")
    parser.add_argument("--faces", type=int, default=5, help="max_num_faces: maximum number of faces per photo")
    options = parser.parse_args()
    try:
        import mediapipe

        mesh_net = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=options.faces, refine_landmarks=options.refine
        )
    except (ImportError, AttributeError) as error:
        fail(f"mediapipe.solutions.face_mesh is not installed ({error}); pip install mediapipe==0.10.21")

    def find(image: NDArray[np.uint8], box: NDArray[np.float64] | None) -> list[NDArray[np.float64]]:
        # Use a square: for other shapes, this version's landmark projection is only right for upright faces.
        if box is None:
            left, top, side = 0, 0, max(image.shape[:2])
        else:
            left, top, side = square_around(box, options.margin)
        found: Any = mesh_net.process(cut(image, left, top, side)).multi_face_landmarks or []
        meshes = [np.array([(p.x, p.y, p.z) for p in face.landmark]) for face in found]
        return [to_68(mesh, side, side) + np.array([left, top, 0]) for mesh in meshes]

    about: dict[str, Any] = {
        "tool": "MediaPipe Face Mesh" + (", refined" if options.refine else ""),
        "version": mediapipe.__version__,
        "settings": {"static_image_mode": True, "max_num_faces": options.faces, "refine_landmarks": options.refine},
    }
    if options.boxes == "roi":
        # The tool takes no box. The crop only keeps the rest of the photo from its detector.
        about["boxes"] = "its own detector in a true crop"
        about["settings"]["margin"] = options.margin
    run(find, options, about)


if __name__ == "__main__":
    main()
