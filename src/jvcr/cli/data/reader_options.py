"""``--option KEY=VALUE`` of ``convert`` and ``check``."""

from __future__ import annotations

from collections import Counter


def reader_options(pairs: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` of ``--option`` as keyword arguments of a format's reader.

    Raises:
        ValueError: not KEY=VALUE, or a duplicate key.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--option {pair}: expected KEY=VALUE, e.g. --option base=0")
        options[key.strip().replace("-", "_")] = value
    if len(options) < len(pairs):
        twice = next(key for key, count in Counter(p.partition("=")[0] for p in pairs).items() if count > 1)
        raise ValueError(f"--option {twice} is given more than once")
    return options
