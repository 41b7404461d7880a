"""An XML file with the places of its elements, so that it can be changed without rewriting what is around them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape

from echo_asr.errors import EchoError
from echo_asr.text.textfile import Change, TextFile, read_text_file

ELEMENTS = 500_000  # in a file, at most: an annotation of ELAN is three of them, and its times two
DEPTH = 50  # levels, at most: ELAN has five
_TAG = re.compile(rb"""<[^<>"']*(?:(?:"[^"]*"|'[^']*')[^<>"']*)*>""")
_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


class Place(NamedTuple):
    """Bytes of an element: of its first tag, its content, and its last tag, which is empty in ``<a/>``."""

    start: int
    content: int
    content_end: int
    end: int


class Document:
    """An XML file; `root` is its tree, without namespaces and comments."""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self._bounds: dict[Element, list[int]] = {}  # where the first and the last tag begin
        self.root = self._parse()

    def _parse(self) -> Element:
        path, builder, bounds = self.file.path, TreeBuilder(), self._bounds
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        open_elements: list[Element] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            element = builder.start(tag, attributes)
            bounds[element] = [parser.CurrentByteIndex]
            open_elements.append(element)
            if len(bounds) > ELEMENTS or len(open_elements) > DEPTH:
                over = f"{DEPTH} levels" if len(open_elements) > DEPTH else f"{ELEMENTS} elements"
                raise EchoError(f"{path} has over {over} of XML; give a file as ELAN saves it")

        def end(tag: str) -> None:
            builder.end(tag)
            bounds[open_elements.pop()].append(parser.CurrentByteIndex)

        def doctype(*_: object) -> None:  # entities in it could exhaust memory
            raise EchoError(f"{path} declares a document type; give a file as ELAN saves it")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, doctype
        try:
            parser.Parse(self.file.data, True)
        except expat.ExpatError as error:
            raise EchoError(f"{path} is no legal ELAN file: {error}; save it again in ELAN") from None
        return builder.close()

    def place(self, element: Element) -> Place:
        """Where an element is."""
        start, last = self._bounds[element]
        tag = _TAG.match(self.file.data, start)
        assert tag is not None
        if tag[0].endswith(b"/>"):
            return Place(start, tag.end(), tag.end(), tag.end())
        return Place(start, tag.end(), last, self.file.data.index(b">", last) + 1)

    def appended(self, element: Element, text: str) -> Change:
        """The change that puts `text`, elements, after the content of an element."""
        place = self.place(element)
        if place.content_end < place.end:
            return Change(place.content_end, place.content_end, text)
        return Change(place.content - len("/>"), place.end, f">{text}</{element.tag}>")

    def refilled(self, element: Element, text: str) -> Change:
        """The change that makes `text` the content of an element."""
        place = self.place(element)
        if place.content_end < place.end:
            return Change(place.content, place.content_end, text)
        return self.appended(element, text)

    def changed(self, changes: list[Change]) -> bytes:
        """The file with changes; characters that its encoding does not have become references."""
        return self.file.changed(changes, "xmlcharrefreplace")


def read_document(path: Path) -> Document:
    """An XML file.

    Raises:
        EchoError: it cannot be read, is no legal XML, or is larger or deeper than a file of annotations.
    """
    return Document(read_text_file(path, xml=True))


def xml_text(text: str) -> str:
    """A text as the content of an element; characters that XML does not have become U+FFFD."""
    return escape(_ILLEGAL.sub("\ufffd", text), {"\r": "&#13;"})


def xml_value(text: str) -> str:
    """A text as the value of an attribute, in quotation marks."""
    return '"' + escape(_ILLEGAL.sub("\ufffd", text), {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}) + '"'
