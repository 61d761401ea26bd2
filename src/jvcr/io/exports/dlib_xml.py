"""dlib's XML data sets (imglab, shape predictor training). Image axes, 0-based, whole pixels. There is no depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO
from xml.etree import ElementTree

import numpy as np

from jvcr import __version__
from jvcr.io.exports.base import ExportedFace, PhotoFaces


def write_dlib(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """One ``box`` for each face, with a ``part`` for each landmark. Parts are numbered: dlib sorts them by name.

    Raises:
        ValueError: a file name cannot be written in XML.
    """
    root = ElementTree.Element("dataset")
    ElementTree.SubElement(root, "name").text = "faces"
    about = f"Landmarks by jvcr {__version__}; 0-based, rounded to whole pixels."
    ElementTree.SubElement(root, "comment").text = about
    images = ElementTree.SubElement(root, "images")
    for photo in photos:
        if any(ord(c) < 32 or c in "\ufffe\uffff" for c in photo.printable):
            raise ValueError(
                f"{photo.image!r}: a file name with control characters cannot be written in XML; rename it"
            )
        entry = ElementTree.SubElement(images, "image", {"file": photo.printable})
        if photo.size is not None:
            entry.attrib |= {"width": str(photo.size[0]), "height": str(photo.size[1])}
        for face in photo.faces:
            _add(entry, face)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _add(image: ElementTree.Element, face: ExportedFace) -> None:
    left, top, right, bottom = (round(value) for value in face.box.to_list())
    # dlib's rectangles include their last pixel.
    place = {"top": top, "left": left, "width": right - left + 1, "height": bottom - top + 1}
    box = ElementTree.SubElement(image, "box", {name: str(value) for name, value in place.items()})
    ElementTree.SubElement(box, "label").text = "face"
    digits = len(str(len(face.landmarks) - 1))
    for number, (x, y) in enumerate(np.rint(face.landmarks[:, :2]).astype(int).tolist()):
        ElementTree.SubElement(box, "part", {"name": f"{number:0{digits}}", "x": str(x), "y": str(y)})
