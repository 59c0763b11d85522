"""Access keys as they may be logged."""

from __future__ import annotations

from s3gate.identity.model import Credential
from s3gate.identity.store import shown_key


class Store:
    """Implements CredentialStore."""

    def __init__(self, *credentials: Credential) -> None:
        self._credentials = {credential.access_key: credential for credential in credentials}

    def find(self, access_key: str) -> Credential | None:
        return self._credentials.get(access_key)


def test_a_log_shows_access_keys_of_somebody_and_the_beginning_of_everything_that_may_be_a_token():
    store = Store(Credential("AKIDKNOWN", "secret"), Credential("0123456789abcdef", "0123456789abcdef"))
    assert shown_key(store, "AKIDKNOWN") == "AKIDKNOWN"
    assert shown_key(store, "0123456789abcdef") == "0123***"
    assert shown_key(store, "fedcba9876543210") == "fedc***"
    assert shown_key(store, "") == ""
