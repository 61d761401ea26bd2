"""Benchmarks, one module each, with a function ``evaluate`` that a notebook can call.

- ``aflw2000``: NME by yaw, GTE, head pose and more on AFLW2000-3D
- ``expression``: eyes, mouths and brows against hand marks
- ``views``: several views of one face (CVGTCE)
- ``table``: the validation rows of a training table
- ``robustness``: box errors and image degradation
- ``detect``: precision and recall of face detection

Each returns a report with ``tables()``, ``to_text()``, ``to_markdown()`` and ``to_dict()``::

    from jvcr.evaluate import aflw2000

    report = aflw2000.evaluate("AFLW2000-3D", weights=["small"], boxes="true")
    print(report.to_text())
"""
