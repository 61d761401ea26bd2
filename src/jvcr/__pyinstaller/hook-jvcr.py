"""PyInstaller's hook: the weights and markup files, and what is imported by name only."""

from PyInstaller.utils.hooks import collect_data_files

import jvcr

# Weights (.onnx) and markups (.toml). The .safetensors are for training, which needs PyTorch.
datas = collect_data_files("jvcr", excludes=["**/*.safetensors"])

# ``jvcr.Landmarker`` and the other public names are imported when they are first used.
hiddenimports = sorted({f"jvcr.{module}" for module in jvcr._HOME.values()})
