"""TensorBoard, which finds the gateway as TensorFlow does: by S3_ENDPOINT."""

from __future__ import annotations

from pathlib import Path

from support.gateway import Gateway
from support.programs import VENVS, Program, find_program

JOB = Path(__file__).with_name("programs") / "tensorboard_job.py"


def test_logs_are_written_found_and_read(tmp_path: Path):
    with Gateway(tmp_path, "--create-bucket", "training", path_prefix="/s3") as gateway:
        environ = {**gateway.environ, "S3_ENDPOINT": gateway.endpoint, "S3_USE_HTTPS": "0"}
        del environ["AWS_ENDPOINT_URL"]
        python = find_program("python", VENVS / "tensorboard/bin")
        shown = Program([python, JOB], environ)("s3://training").decode().splitlines()
    name = "events.out.tfevents.1.host"
    assert shown == [
        f"there: True True ['{name}']",
        f"found: ['s3://training/logs/run/{name}']",
        "read: 100 0.01",
    ]
