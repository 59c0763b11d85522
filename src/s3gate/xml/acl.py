"""The access control list of a bucket or an object whose owner alone has rights."""

from __future__ import annotations

from s3gate.core.values import Owner
from s3gate.xml.writer import document, element, nested, owner

__all__ = ["full_control"]

_GRANTEE = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">{}</Grantee>'


def full_control(who: Owner) -> bytes:
    """An AccessControlPolicy that gives its owner full control, and nobody else anything."""
    grantee = _GRANTEE.format(element("ID", who.id) + element("DisplayName", who.display_name))
    grant = nested("Grant", grantee, element("Permission", "FULL_CONTROL"))
    return document("AccessControlPolicy", owner("Owner", who), nested("AccessControlList", grant))
