"""Commands that `s3gate run` gives a gateway of their own: the pipeline of Pachyderm's page, and other clients."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from support.files import digests, make_tree
from support.gateway import Gateway
from support.programs import VENVS, Program, find_program

# The "transform" of Pachyderm's page "Sidecar S3 Gateway", as it stands there.
TRANSFORM = json.loads("""{
    "cmd": [ "sh" ],
    "stdin": [ "set -x && mkdir -p /tmp/result && aws --endpoint-url $S3_ENDPOINT s3 ls && aws --endpoint-url $S3_ENDPOINT s3 cp s3://labresults/ /tmp/result/ --recursive && aws --endpoint-url $S3_ENDPOINT s3 cp /tmp/result/ s3://out --recursive" ]
}""")  # fmt: skip  # noqa: E501
# /tmp/result is its own, whatever the machine has there.
OWN_RESULT = 'mkdir -p /tmp/result && mount -t tmpfs none /tmp/result && exec "$@"'


@pytest.fixture
def environ(tmp_path: Path, gateway: Gateway) -> dict[str, str]:
    """That of somebody who has no account anywhere."""
    known = {name: value for name, value in gateway.environ.items() if not name.startswith("AWS_")}
    path = f"{VENVS}/programs/bin:{VENVS}/bin:{os.environ['PATH']}"
    return {**known, "PATH": path, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}


@pytest.fixture
def labresults(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "labresults")


def sidecar(labresults: Path, out: Path) -> list[str]:
    """`s3gate run` as far as the command."""
    inputs = ["--input", f"labresults={labresults}", "--out", str(out)]
    return [sys.executable, "-m", "s3gate", "run", *inputs, "--"]


def test_the_pipeline_of_pachyderms_page_runs_as_it_is(labresults: Path, tmp_path: Path, environ: dict[str, str]):
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    alone = [find_program("unshare"), *user, "--mount", "sh", "-c", OWN_RESULT, "alone"]
    run = Program([*alone, *sidecar(labresults, tmp_path / "result"), *TRANSFORM["cmd"]], environ)

    shown = run(stdin="\n".join(TRANSFORM["stdin"]).encode()).decode()

    assert [line.split()[-1] for line in shown.splitlines()[:2]] == ["labresults", "out"]
    assert digests(tmp_path / "result") == digests(labresults)


def test_mc_with_keys_that_it_brings_along_signs_each_chunk(labresults: Path, tmp_path: Path, environ: dict[str, str]):
    find_program("mc", VENVS / "bin")
    script = """
        mc --quiet alias set pipeline "$S3_ENDPOINT" anything_matching anything_matching
        mc --quiet mirror pipeline/labresults copy
        mc --quiet mirror copy pipeline/out/copy
    """
    run = Program([*sidecar(labresults, tmp_path / "result"), "sh", "-euc", script], environ, cwd=tmp_path)
    run()
    assert digests(tmp_path / "result/copy") == digests(labresults)


LIBRARIES = {
    "boto3": """
        import boto3
        s3 = boto3.resource("s3")
        for each in s3.Bucket("labresults").objects.all():
            s3.Bucket("out").put_object(Key=each.key, Body=each.get()["Body"].read())
    """,
    "boto3 with keys": """
        import os, boto3
        s3 = boto3.resource("s3", endpoint_url=os.environ["S3_ENDPOINT"],
                            aws_access_key_id="anything", aws_secret_access_key="else")
        for each in s3.Bucket("labresults").objects.all():
            s3.Bucket("out").put_object(Key=each.key, Body=each.get()["Body"].read())
    """,
    "minio without keys": """
        import os, minio
        s3 = minio.Minio(os.environ["S3_ENDPOINT"].removeprefix("http://"), access_key="", secret_key="", secure=False)
        for each in s3.list_objects("labresults", recursive=True):
            body = s3.get_object("labresults", each.object_name)
            s3.put_object("out", each.object_name, body, each.size)
            body.close()
    """,
    "pyarrow": """
        import os, shutil
        from pyarrow import fs
        s3 = fs.S3FileSystem(endpoint_override=os.environ["S3_ENDPOINT"])
        for each in s3.get_file_info(fs.FileSelector("labresults", recursive=True)):
            if each.is_file:
                with s3.open_input_stream(each.path) as source:
                    with s3.open_output_stream(each.path.replace("labresults", "out", 1)) as target:
                        shutil.copyfileobj(source, target)
    """,
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_copies_the_input_to_the_output(name: str, labresults: Path, tmp_path: Path, environ: dict[str, str]):
    lines = LIBRARIES[name].splitlines()
    script = "\n".join(line.removeprefix(" " * 8) for line in lines)
    python = find_program("python", VENVS / "libraries/bin")
    Program([*sidecar(labresults, tmp_path / "result"), python, "-c", script], environ)()
    assert digests(tmp_path / "result") == digests(labresults)
