"""XML out and in, as OSS and S3 write it. Pure."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from typing import TypeAlias
from xml.sax import saxutils

S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Content: TypeAlias = "str | Sequence[Item]"
Item: TypeAlias = tuple[str, Content]


class NotXml(ValueError):
    """Not a document that is read here."""


def document(root: str, items: "str | Iterable[Item]", *, namespace: str = "") -> bytes:
    """A whole document; items: text, or pairs of an element and its text or its own items."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    body = saxutils.escape(items) if isinstance(items, str) else "".join(map(_element, items))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{body}</{root}>'.encode()


def _element(item: Item) -> str:
    name, content = item
    inside = (
        saxutils.escape(content) if isinstance(content, str) else "".join(map(_element, content))
    )
    return f"<{name}>{inside}</{name}>"


def parse(body: bytes) -> ET.Element:
    """The root of *body*, elements' namespaces dropped. Raises NotXml."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise NotXml("document types are not allowed")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, so no entities
    except (ET.ParseError, LookupError, ValueError) as e:  # the latter two: of encodings
        raise NotXml(str(e)) from e
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
