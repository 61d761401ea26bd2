"""Bodies of type multipart/form-data, from memory: nothing is written to the disk."""

from __future__ import annotations

from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jvcr.serve.limits import LONGEST_FIELD
from jvcr.serve.refused import Refused

IMAGE = "image"
"""Name of the field that holds the image."""

_MOST_PARTS = 16


class Form(NamedTuple):
    """image: encoded. fields: the others, as texts."""

    image: bytes
    fields: dict[str, str]


def read_form(body: bytes, content_type: str) -> Form:
    """The image and the other fields.

    Raises:
        Refused: 400: no such form, cut off, a field twice or too long, no image.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Refused(400, "multipart/form-data without a boundary; expected Content-Type: …; boundary=…")
    collector = _Collector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise Refused(400, "the form is damaged; expected multipart/form-data with a file field 'image'") from None
    if not collector.ended:
        raise Refused(400, "the form is cut off: its last boundary is missing")
    fields = collector.fields
    if IMAGE not in fields:
        raise Refused(400, f"the form has no field {IMAGE!r}; expected the image's file in it")
    image = fields.pop(IMAGE)
    return Form(bytes(image), {name: _text(name, value) for name, value in fields.items()})


class _Collector:
    """Receives the parser's callbacks."""

    def __init__(self) -> None:
        self.fields: dict[str, bytearray] = {}
        self.ended = False
        self._header = (bytearray(), bytearray())
        self._name: str | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_field,
            "on_part_data": self._add,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name = None
        if len(self.fields) == _MOST_PARTS:
            raise Refused(400, f"the form has more than {_MOST_PARTS} fields")

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            name = parse_options_header(self._header[1].decode("latin-1"))[1].get(b"name", b"")
            self._name = name.decode("utf-8", "replace")

    def _open_field(self) -> None:
        if not self._name:
            raise Refused(400, "a part of the form has no name; expected Content-Disposition: form-data; name=…")
        if self._name in self.fields:
            raise Refused(400, f"the form has the field {self._name[:40]!r} twice; expected it once")
        self.fields[self._name] = bytearray()

    def _add(self, data: bytes, start: int, end: int) -> None:
        field = self.fields[self._name or ""]
        field += memoryview(data)[start:end]
        if self._name != IMAGE and len(field) > LONGEST_FIELD:
            raise Refused(400, f"field {(self._name or '')[:40]!r} is longer than {LONGEST_FIELD} bytes, the limit")

    def _end(self) -> None:
        self.ended = True


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, f"field {name[:40]!r} is not UTF-8 text") from None
