"""Animate an empty with the head in a video: ``blender --python examples/blender_head.py -- film_landmarks.jsonl``.

The file is one of ``jvcr video film.mp4 --json film_landmarks.jsonl``. The face that comes first is used. A second
argument saves the scene: ``-- film_landmarks.jsonl head.blend``. Parent a head or a bone to the empty; it has to look
along -Y, as Blender's front view sees it. One pixel is a millimetre. Tested with bpy 4.5 from PyPI, which also runs it
without Blender: ``python examples/blender_head.py film_landmarks.jsonl head.blend``.
"""

import json
import sys
from pathlib import Path

import bpy
from mathutils import Matrix

# x right, y down, z away from the camera → Blender's x right, y away, z up.
AXES = Matrix(((1, 0, 0), (0, 0, 1), (0, -1, 0)))

arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
records = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
followed = next(face["id"] for record in records for face in record["faces"])
scene = bpy.context.scene
empty = bpy.data.objects.new("head", None)
empty.empty_display_type, empty.empty_display_size, empty.rotation_mode = "ARROWS", 0.1, "QUATERNION"
scene.collection.objects.link(empty)
for record in records:
    for face in (face for face in record["faces"] if face["id"] == followed):
        number = 1 + record["time"] * scene.render.fps / scene.render.fps_base
        x0, y0, x1, y1 = face["box"]
        empty.location = ((x0 + x1 - record["width"]) / 2000, 0, (record["height"] - y0 - y1) / 2000)
        empty.rotation_quaternion = (AXES @ Matrix(face["pose"]["rotation"]) @ AXES.transposed()).to_quaternion()
        for path in ("location", "rotation_quaternion"):
            empty.keyframe_insert(path, frame=number)
scene.frame_end = max(scene.frame_start, round(number))
if len(arguments) > 1:
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(arguments[1]).resolve()))
