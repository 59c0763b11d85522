"""Rate limits over all workers, and who the client is behind proxies."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.processes import wait_for
from support.raw_http import ask
from support.signed import signed

OTHER_KEY, OTHER_SECRET = "AKIDEXAMPLEOFANOTHER", "anothersecretkeyofexample/of40characters"


def test_a_key_gets_as_many_requests_a_second_as_all_workers_may_take_together(tmp_path: Path):
    options = ("--rate-limit-per-key", "5", "--credential", f"{OTHER_KEY}:{OTHER_SECRET}")
    with Gateway(tmp_path / "data", *options, workers=3) as gateway:
        begin = time.monotonic()
        answers = [ask(gateway, signed(gateway, "GET", "/")) for _ in range(40)]
        allowed = 5 + 5 * (time.monotonic() - begin)
        found = Counter(answer.status for answer in answers)
        assert set(found) == {200, 503}
        assert 5 <= found[200] <= allowed + 3  # two workers may count the same instant once
        refused = next(answer for answer in answers if answer.status == 503)
        assert b"<Code>SlowDown</Code>" in refused.body
        assert refused.headers["retry-after"] == "1"
        assert ask(gateway, signed(gateway, "GET", "/", key=(OTHER_KEY, OTHER_SECRET))).status == 200


def test_clients_that_try_again_get_through(tmp_path: Path):
    with Gateway(tmp_path / "data", "--rate-limit", "20", workers=2) as gateway:
        client = gateway.boto3(retries={"mode": "standard", "max_attempts": 10})
        client.create_bucket(Bucket="bucket")
        for number in range(30):
            client.put_object(Bucket="bucket", Key=f"{number}", Body=b"x")
        assert client.list_objects_v2(Bucket="bucket")["KeyCount"] == 30


def test_a_refused_signature_uses_up_nothing_of_the_key_it_names(tmp_path: Path):
    with Gateway(tmp_path / "data", "--rate-limit-per-key", "2", workers=1) as gateway:
        for _ in range(10):
            assert ask(gateway, signed(gateway, "GET", "/", key=(ACCESS_KEY, SECRET_KEY + "x"))).status == 403
        assert ask(gateway, signed(gateway, "GET", "/")).status == 200


def test_only_a_trusted_proxy_says_who_the_client_is(tmp_path: Path):
    def logged(*options: str) -> dict[str, str]:
        log = tmp_path / f"log-{len(options)}"
        with Gateway(tmp_path / "data", "--access-log", str(log), *options, workers=1) as gateway:
            sent = {"x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-forwarded-proto": "https"}
            ask(gateway, signed(gateway, "GET", "/", headers=sent))
            line: dict[str, str] = json.loads(wait_for(lambda: log.exists() and log.read_text(), "the line"))
        return line

    untrusted = logged()
    assert untrusted["remote_ip"] == "127.0.0.1"
    assert logged("--trusted-proxy", "127.0.0.0/8")["remote_ip"] == "203.0.113.9"
    assert untrusted["access_key"] == ACCESS_KEY
