from __future__ import annotations

from s3gate.identity.model import Credential
from s3gate.server.banner import banner, endpoints
from s3gate.settings import Settings

MADE = Credential("AKIAMADE", "made-secret")


def test_all_addresses_are_shown_as_the_loopback_and_the_host_name():
    assert endpoints(Settings(), [9900], "box") == ["http://127.0.0.1:9900", "http://box:9900"]
    assert endpoints(Settings(listen="[::]:1"), [1], "box") == ["http://[::1]:1", "http://box:1"]


def test_an_endpoint_has_the_scheme_the_real_port_and_the_path_prefix():
    settings = Settings(listen="[fe80::1]:0", path_prefix="/s3", tls_cert="c", tls_key="k")
    assert endpoints(settings, [4711], "box") == ["https://[fe80::1]:4711/s3"]


def test_the_banner_says_where_and_what_and_has_lines_to_paste():
    text = banner(Settings(data_dir="/srv/s3", region="eu-west-1", workers=3), ports=[9900], made=None)
    for part in ("http://127.0.0.1:9900", "/srv/s3", "eu-west-1", "3", "full"):
        assert part in text
    assert "  aws --endpoint-url http://127.0.0.1:9900 s3 ls\n" in text
    assert "  mc alias set s3gate http://127.0.0.1:9900 YOUR_ACCESS_KEY YOUR_SECRET_KEY\n" in text
    assert "WARNING" not in text


def test_credentials_that_were_just_made_are_shown_with_the_lines_that_use_them():
    text = banner(Settings(credentials_path="/c.jsonl"), ports=[1], made=MADE)
    assert "/c.jsonl" in text
    assert "export AWS_ACCESS_KEY_ID=AKIAMADE AWS_SECRET_ACCESS_KEY=made-secret AWS_DEFAULT_REGION=us-east-1" in text
    assert "mc alias set s3gate http://127.0.0.1:1 AKIAMADE made-secret" in text


def test_secrets_that_were_configured_are_not_shown():
    settings = Settings(root_access_key="admin", root_secret_key="hidden-secret", credentials=("user:hidden-too",))
    text = banner(settings, ports=[1], made=None)
    assert "admin YOUR_SECRET_KEY" in text
    assert "hidden" not in text


def test_an_open_gateway_warns_and_shows_unsigned_commands():
    text = banner(Settings(no_auth=True), ports=[1], made=None)
    assert "WARNING" in text
    assert "aws --no-sign-request" in text
    assert "export" not in text


def test_a_read_only_gateway_says_so():
    assert "read only" in banner(Settings(read_only=True), ports=[1], made=None)


def test_every_address_is_shown_and_the_lines_to_paste_are_for_tcp():
    settings = Settings(listen="unix:/run/s3.sock,127.0.0.1:1,[::1]:0")
    assert endpoints(settings, [1, 4711], "box") == ["unix:/run/s3.sock", "http://127.0.0.1:1", "http://[::1]:4711"]
    assert "  aws --endpoint-url http://127.0.0.1:1 s3 ls\n" in banner(settings, ports=[1, 4711], made=None)


def test_a_unix_socket_alone_is_shown_with_a_program_that_speaks_to_it():
    assert "curl --unix-socket /run/s3.sock http://" in banner(
        Settings(listen="unix:/run/s3.sock"), ports=[], made=None
    )
