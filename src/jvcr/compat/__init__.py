"""The calls of other libraries, answered by jvcr (docs/migrating.md)::

from jvcr.compat import face_alignment  # instead of: import face_alignment
from jvcr.compat import dlib  # instead of: import dlib
from jvcr.compat import to_supervision  # faces → supervision.KeyPoints
"""

from jvcr.compat.for_supervision import to_supervision

__all__ = ["to_supervision"]
