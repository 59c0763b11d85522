"""Reading of XML that clients send, and S3Xml, the documents that are read and written; the only importer of lxml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self, get_args, get_origin

from lxml import etree
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_pascal

from s3gate.core.errors import S3Error
from s3gate.xml.writer import NAMESPACE, document, element, nested

__all__ = ["Element", "S3Xml", "children", "malformed", "read", "text_of"]

Element = etree._Element  # lxml-stubs gives the public name Element to the factory

_PREFIX = f"{{{NAMESPACE}}}"


def _parser() -> etree.XMLParser:
    # libxml2 itself bounds the depth (256) and the size of names and text as long as huge_tree is off.
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )


def malformed(detail: str | None = None) -> S3Error:
    """MalformedXML with AWS's message, and what was wrong in the field that AWS has for it."""
    return S3Error("MalformedXML") if detail is None else S3Error("MalformedXML", additionalMessage=detail)


def _local_name(node: Element) -> str:
    """The name of an element of S3's namespace or of none."""
    tag = str(node.tag)
    name = tag.removeprefix(_PREFIX)
    if name.startswith("{"):
        raise malformed(f"{tag} is in a namespace that is not S3's")
    return name


def read(body: bytes, root: str) -> Element:
    """The root element of `body`, whose name must be `root`; MalformedXML for anything that is not such a document.

    A document type declaration is refused before anything is parsed, so that no entity is ever declared. The encoding
    is UTF-8 whatever the document says of itself, so that none can hide behind another.
    """
    if b"<!DOCTYPE" in body:
        raise malformed("a document type declaration is not allowed")
    try:
        node = etree.fromstring(body, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise malformed() from None
    if _local_name(node) != root:
        raise malformed(f"the root element is not {root}")
    return node


def children(node: Element) -> Iterator[tuple[str, Element]]:
    """The elements inside `node`, each with its name; MalformedXML where text stands between them."""
    if node.text and not node.text.isspace():
        raise malformed(f"{_local_name(node)} holds text")
    for child in node:
        if child.tail and not child.tail.isspace():
            raise malformed(f"{_local_name(node)} holds text")
        yield _local_name(child), child


def text_of(node: Element) -> str:
    """The text of an element that holds nothing else."""
    if len(node):
        raise malformed(f"{_local_name(node)} holds elements")
    return node.text or ""


class S3Xml(BaseModel):
    """A document, or an element of one, as a model: `LocationConstraint` is the field `location_constraint`.

    Names that pydantic would not find (`ETag`, `ID`) are given as the field's alias. What the model does not know is
    MalformedXML; what S3 knows but the gateway does not offer stands in `unsupported` and is NotImplemented. A tuple
    takes all elements of its name, any other field one.
    """

    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True, extra="forbid", frozen=True)

    root: ClassVar[str] = ""
    unsupported: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """The model of a document, else MalformedXML."""
        try:
            return cls.model_validate(_values(cls, read(body, cls.root)))
        except ValidationError:
            raise malformed() from None

    def render(self) -> bytes:
        """The document."""
        return document(self.root, *_elements(self))


def _item_type(annotation: Any) -> tuple[Any, bool]:
    """The type of one element of a field, and whether it may stand several times."""
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    inner = [arg for arg in get_args(annotation) if arg is not type(None)]
    return (inner[0] if len(inner) == 1 else annotation), False


def _values(model: type[S3Xml], node: Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    fields = {field.alias or name: _item_type(field.annotation) for name, field in model.model_fields.items()}
    for name, child in children(node):
        if name in model.unsupported:
            raise S3Error("NotImplemented", f"The element {name} implies functionality that is not implemented.")
        if name not in fields:
            raise malformed(f"{name} is not known here")
        kind, many = fields[name]
        is_model = isinstance(kind, type) and issubclass(kind, S3Xml)
        value = _values(kind, child) if is_model else _scalar(kind, text_of(child))
        if many:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise malformed(f"{name} stands more than once")
        else:
            found[name] = value
    return found


def _scalar(kind: Any, text: str) -> str:
    """XML Schema's numbers and booleans may have space around them; text is what it is."""
    return text if kind is str else text.strip()


def _elements(model: S3Xml) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        for item in value if isinstance(value, tuple) else (value,):
            label = field.alias or name
            yield nested(label, *_elements(item)) if isinstance(item, S3Xml) else element(label, item)
