"""True landmark boxes of AFLW2000-3D, for peers that are told where the face is.

``python recipes/peers/true_boxes.py AFLW2000-3D boxes.npz``, in jvcr's own environment (with the train extra).
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.data.formats.aflw2000 import read_aflw2000

root, out = Path(sys.argv[1]), Path(sys.argv[2])
boxes = {sample.name: sample.box.to_list() for sample in read_aflw2000(root)}
np.savez(out, id=np.array(list(boxes)), box=np.array(list(boxes.values()), np.float32))
print(f"{out}: {len(boxes)} boxes")
