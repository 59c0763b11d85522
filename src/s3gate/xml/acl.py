"""Access control lists of buckets and objects whose owner alone has rights."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from s3gate.core.values import Owner
from s3gate.xml.codec import S3Xml
from s3gate.xml.writer import document, element, nested, owner

__all__ = ["AccessControlPolicy", "full_control"]

_GRANTEE = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">{}</Grantee>'
_FULL_CONTROL = "FULL_CONTROL"


class _User(S3Xml):
    id: str = Field("", alias="ID")
    display_name: str = ""


class _Grantee(_User):
    uri: str = Field("", alias="URI")
    email_address: str = ""


class _Grant(S3Xml):
    grantee: _Grantee
    permission: str


class _AccessControlList(S3Xml):
    grant: tuple[_Grant, ...] = ()


class AccessControlPolicy(S3Xml):
    """What PutBucketAcl and PutObjectAcl are sent."""

    root: ClassVar[str] = "AccessControlPolicy"

    owner: _User | None = None
    access_control_list: _AccessControlList

    def is_full_control_of(self, who: Owner) -> bool:
        """Whether it gives this owner full control, and nobody anything else."""
        grants = self.access_control_list.grant
        return bool(grants) and all(
            grant.grantee.id == who.id and grant.permission == _FULL_CONTROL for grant in grants
        )


def full_control(who: Owner) -> bytes:
    """An AccessControlPolicy that gives its owner full control, and nobody else anything."""
    grantee = _GRANTEE.format(element("ID", who.id) + element("DisplayName", who.display_name))
    grant = nested("Grant", grantee, element("Permission", _FULL_CONTROL))
    return document("AccessControlPolicy", owner("Owner", who), nested("AccessControlList", grant))
