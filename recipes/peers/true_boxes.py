"""Write the true landmark boxes of AFLW2000-3D, for aligners that are given boxes.

``python recipes/peers/true_boxes.py AFLW2000-3D boxes.npz``, in jvcr's own environment (train extra).
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.data.formats.aflw2000 import read_aflw2000

root, out = Path(sys.argv[1]), Path(sys.argv[2])
boxes = {sample.name: sample.box.to_list() for sample in read_aflw2000(root)}
np.savez(out, id=np.array(list(boxes)), box=np.array(list(boxes.values()), np.float32))
print(f"{out}: {len(boxes)} boxes")
