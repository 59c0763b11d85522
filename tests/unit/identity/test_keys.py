from __future__ import annotations

import pytest

from s3gate.identity.keys import (
    access_key_fault,
    new_access_key,
    new_secret_key,
    new_token,
    secret_key_fault,
    split_pair,
)


@pytest.mark.parametrize("text", ["abc", "AKIAIOSFODNN7EXAMPLE", "user@example.com", "a" * 128, "a.b_c-d~e+f"])
def test_access_keys_that_are_safe_in_headers_and_queries_are_taken(text):
    assert access_key_fault(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "ab", "a" * 129, "a/b1", "a b1", "a,b1", "a=b1", "a:b1", "a&b1", "a%b1", 'a"b1', "äbc", "abc\n", "a\0b1"],
)
def test_access_keys_that_would_end_early_in_a_header_or_query_are_refused(text):
    assert access_key_fault(text) is not None


@pytest.mark.parametrize("text", ["12345678", "with space inside", "ünïcödé-secret", "a/b+c=d:e,", "x" * 256])
def test_secret_keys_of_eight_printable_characters_or_more_are_taken(text):
    assert secret_key_fault(text) is None


@pytest.mark.parametrize("text", ["", "1234567", "x" * 257, " 12345678", "12345678\n", "1234\x005678"])
def test_short_and_invisible_secret_keys_are_refused(text):
    assert secret_key_fault(text) is not None


def test_a_pair_is_split_at_its_first_colon():
    assert split_pair("key:se:cret:key") == ("key", "se:cret:key")


def test_generated_keys_obey_the_rules_and_differ():
    access_keys = {new_access_key() for _ in range(200)}
    secret_keys = {new_secret_key() for _ in range(200)}
    assert len(access_keys) == len(secret_keys) == 200
    assert all(len(key) == 20 and key.startswith("AKIA") and key.isupper() and key.isalnum() for key in access_keys)
    assert all(len(key) == 40 and key.isascii() and key.isalnum() for key in secret_keys)
    assert not any(access_key_fault(key) for key in access_keys)
    assert not any(secret_key_fault(key) for key in secret_keys)


def test_a_token_may_be_either_key():
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert not any(access_key_fault(token) or secret_key_fault(token) for token in tokens)
