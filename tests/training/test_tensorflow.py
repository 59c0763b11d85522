"""TensorFlow with its s3:// filesystem, which finds the gateway by S3_ENDPOINT: `make tensorflow`."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.certificates import self_signed
from support.gateway import Gateway
from support.programs import REPOSITORY, VENVS, Program, find_program

JOB = Path(__file__).with_name("train.py")
PAGE = REPOSITORY / "docs/coming-from-aistore.md"


def _train(gateway: Gateway, **variables: str) -> str:
    """What the job prints."""
    environ = {**gateway.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        environ.pop(name, None)
    python = find_program("python", VENVS / "tensorflow/bin")
    return Program([python, JOB], environ)("s3://training").decode()


def _transcript(address: str, shown: str) -> str:
    return shown.replace(address, "10.0.0.20:51080")


def test_a_training_job_reads_and_writes_below_a_prefix(tmp_path: Path):
    with Gateway(tmp_path, "--create-bucket", "training", path_prefix="/s3") as gateway:
        shown = _train(gateway, S3_ENDPOINT=f"http://{gateway.address}/s3", S3_USE_HTTPS="0")
        assert (tmp_path / "training/line/README").read_bytes() == b"y = 3 x + 2\n"
        assert [path for path in (tmp_path / "training/line/checkpoints").rglob("*") if path.is_file()] == []
        transcript = _transcript(gateway.address, shown)
    shown_there = f"what TensorFlow says -->\n```text\n{transcript}```\n"
    assert shown_there in PAGE.read_text(), f"the page shows something else than:\n{transcript}"


@pytest.mark.parametrize("scheme", ["https://", ""])
def test_https_with_a_certificate_that_nobody_knows(tmp_path: Path, scheme: str):
    chain, key = self_signed(tmp_path)
    tls = Path(chain), Path(key)
    with Gateway(tmp_path / "served", "--create-bucket", "training", path_prefix="/s3", tls=tls) as gateway:
        endpoint = f"{scheme}localhost:{gateway.port}/s3"
        shown = _train(gateway, S3_ENDPOINT=endpoint, S3_USE_HTTPS="1", S3_VERIFY_SSL="0")
    assert "learned: y = 3.0 x + 2.0" in shown
