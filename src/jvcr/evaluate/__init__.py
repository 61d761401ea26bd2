"""Benchmarks: one module each, with an ``evaluate`` function that can be called from a notebook.

- ``aflw2000``: NME by yaw, GTE, head pose and more on AFLW2000-3D
- ``expression``: eyes, mouths and brows against hand-marked landmarks
- ``views``: several views of one face (CVGTCE)
- ``table``: NME and GTE on the validation rows of a training table
- ``robustness``: box errors and image degradation
- ``detect``: precision and recall of face detection

Each returns a report with ``tables()``, ``to_text()``, ``to_markdown()`` and ``to_dict()``::

    from jvcr.evaluate import aflw2000

    report = aflw2000.evaluate("AFLW2000-3D", weights=["small"], boxes="true")
    print(report.to_text())
"""
