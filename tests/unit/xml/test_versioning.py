"""The versioning state as a document."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.xml.versioning import VersioningConfiguration, versioning_configuration
from support.operations import tree


def configuration(inner: str) -> bytes:
    return f"<VersioningConfiguration>{inner}</VersioningConfiguration>".encode()


def test_a_bucket_that_was_never_versioned_has_an_empty_configuration() -> None:
    assert len(tree(versioning_configuration(""))) == 0
    assert tree(versioning_configuration("Enabled")).findtext("Status") == "Enabled"


def test_a_status_and_a_state_of_mfa_delete_are_read() -> None:
    read = VersioningConfiguration.parse(configuration("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>"))
    assert (read.status, read.mfa_delete) == ("Suspended", "Disabled")
    assert VersioningConfiguration.parse(configuration("")).status is None


@pytest.mark.parametrize(
    "inner",
    ["<Status>enabled</Status>", "<Status>Off</Status>", "<MfaDelete>no</MfaDelete>", "<State>Enabled</State>", "x"],
)
def test_what_is_no_state_is_malformed(inner: str) -> None:
    with pytest.raises(S3Error) as caught:
        VersioningConfiguration.parse(configuration(inner))
    assert caught.value.code == "MalformedXML"
