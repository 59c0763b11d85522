"""What the document of Pachyderm's S3 gateway tells of buckets, tokens, outputs and operations holds here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.gateway import REGION, Gateway
from support.raw_http import Request, ask, refusal
from support.signed import signed
from support.snapshot import unchanged

pytestmark = pytest.mark.xdist_group("from_pachyderm")

TOKENS = {"readwrite": "0123456789abcdef0123456789abcdef", "readonly": "x" * 32}
# The buckets of its example, which are branches of repositories: `raw_data` is written to, the others by pipelines.
BUCKETS = ("master.train", "master.pre_process", "master.split", "stats.split", "master.raw_data")
OUTPUTS = ("*.train", "*.pre_process", "*.spli?")


@pytest.fixture(scope="module")
def pfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with tokens, the names of those buckets, and outputs of pipelines that are only read."""
    place = tmp_path_factory.mktemp("pfs")
    path = place / "credentials.jsonl"
    lines = [json.dumps({"access_key": t, "secret_key": t, "policy": policy}) for policy, t in TOKENS.items()]
    path.write_text("\n".join([*lines, ""]))
    path.chmod(0o600)
    for name in BUCKETS:
        (place / "data" / name).mkdir(parents=True)
        (place / "data" / name / "file.csv").write_bytes(name.encode())
    arguments = ["--bucket-names", "relaxed", "--credentials-path", str(path), "--durability", "none"]
    arguments += [text for pattern in OUTPUTS for text in ("--read-only-bucket", pattern)]
    with Gateway(place / "data", *arguments, credentials=()) as running:
        yield running


def client(gateway: Gateway, token: str, secret: str = "", **config: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        aws_access_key_id=token,
        aws_secret_access_key=secret or token,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture(scope="module")
def s3(pfs: Gateway) -> Any:
    return client(pfs, TOKENS["readwrite"])


def code_of(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "none"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_token_is_access_key_and_secret_key_in_both_versions_of_signatures(pfs: Gateway, version: str):
    s3 = client(pfs, TOKENS["readwrite"], signature_version=version)
    s3.put_object(Bucket="master.raw_data", Key=version, Body=b"content")
    assert s3.get_object(Bucket="master.raw_data", Key=version)["Body"].read() == b"content"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "master.raw_data", "Key": version})
    assert ask(pfs, Request("GET", url.removeprefix(pfs.endpoint), {"Host": pfs.address})).body == b"content"


def test_a_token_has_a_policy_and_its_secret_is_itself_alone(pfs: Gateway):
    reader = client(pfs, TOKENS["readonly"])
    assert reader.get_object(Bucket="master.raw_data", Key="file.csv")["Body"].read() == b"master.raw_data"
    assert code_of(reader.put_object, Bucket="master.raw_data", Key="new") == "AccessDenied"
    assert code_of(client(pfs, TOKENS["readonly"], "another secret").list_buckets) == "SignatureDoesNotMatch"
    assert code_of(client(pfs, "token-of-nobody").list_buckets) == "InvalidAccessKeyId"


def test_a_token_stands_in_no_log(pfs: Gateway):
    client(pfs, TOKENS["readwrite"]).list_buckets()
    assert not [token for token in TOKENS.values() if token in pfs.log]


def test_buckets_have_the_names_of_branches_and_repositories(s3: Any):
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == sorted(BUCKETS)
    s3.create_bucket(Bucket="master.Test_1")
    s3.put_object(Bucket="master.Test_1", Key="file")
    s3.delete_object(Bucket="master.Test_1", Key="file")
    s3.delete_bucket(Bucket="master.Test_1")
    assert code_of(s3.head_bucket, Bucket="master.Test_1") == "404"


@pytest.mark.parametrize("bucket", ["master.train", "master.pre_process", "stats.split"])
def test_outputs_are_read_and_never_written_to(pfs: Gateway, s3: Any, bucket: str):
    with unchanged(pfs.root / bucket):
        assert s3.get_object(Bucket=bucket, Key="file.csv")["Body"].read() == bucket.encode()
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["file.csv"]
        for call, arguments in (
            (s3.put_object, {"Key": "new"}),
            (s3.copy_object, {"Key": "new", "CopySource": "master.raw_data/file.csv"}),
            (s3.delete_object, {"Key": "file.csv"}),
            (s3.delete_objects, {"Delete": {"Objects": [{"Key": "file.csv"}]}}),
            (s3.create_multipart_upload, {"Key": "new"}),
            (s3.put_object_tagging, {"Key": "file.csv", "Tagging": {"TagSet": []}}),
            (s3.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Enabled"}}),
            (s3.delete_bucket, {}),
            (s3.create_bucket, {}),
        ):
            assert code_of(call, Bucket=bucket, **arguments) == "AccessDenied", call
    s3.copy_object(Bucket="master.raw_data", Key=f"from-{bucket}", CopySource=f"{bucket}/file.csv")


def test_a_bucket_that_would_be_an_output_is_not_made(pfs: Gateway, s3: Any):
    assert code_of(s3.create_bucket, Bucket="new.train") == "AccessDenied"
    assert not (pfs.root / "new.train").exists()


def test_earlier_contents_are_read_by_their_version(s3: Any):
    s3.create_bucket(Bucket="master.versions")
    s3.put_bucket_versioning(Bucket="master.versions", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="master.versions", Key="file", Body=b"first")["VersionId"]
    s3.put_object(Bucket="master.versions", Key="file", Body=b"second")
    assert s3.get_object(Bucket="master.versions", Key="file", VersionId=first)["Body"].read() == b"first"
    for version in s3.list_object_versions(Bucket="master.versions")["Versions"]:
        s3.delete_object(Bucket="master.versions", Key="file", VersionId=version["VersionId"])
    s3.delete_bucket(Bucket="master.versions")


BUCKET, KEY = "/master.raw_data", "/master.raw_data/file.csv"
# What Pachyderm lists as not supported, and the requests of each; those that work here are tested below.
UNSUPPORTED = {
    "Accelerate": ["GET ?accelerate", "PUT ?accelerate"],
    "Analytics": ["GET ?analytics", "GET ?analytics&id=x", "PUT ?analytics&id=x", "DELETE ?analytics&id=x"],
    "CORS configuration": ["GET ?cors", "PUT ?cors", "DELETE ?cors"],
    "Encryption": ["GET ?encryption", "PUT ?encryption", "DELETE ?encryption"],
    "Inventory": ["GET ?inventory", "GET ?inventory&id=x", "PUT ?inventory&id=x", "DELETE ?inventory&id=x"],
    "Legal holds": ["GET /?legal-hold", "PUT /?legal-hold"],
    "Lifecycles": ["GET ?lifecycle", "PUT ?lifecycle", "DELETE ?lifecycle"],
    "Logging": ["GET ?logging", "PUT ?logging"],
    "Metrics": ["GET ?metrics", "GET ?metrics&id=x", "PUT ?metrics&id=x", "DELETE ?metrics&id=x"],
    "Notifications": ["GET ?notification", "PUT ?notification"],
    "Object locks": ["GET ?object-lock", "PUT ?object-lock"],
    "Payment requests": ["GET ?requestPayment", "PUT ?requestPayment"],
    "Policies": ["GET ?policy", "PUT ?policy", "DELETE ?policy", "GET ?policyStatus"],
    "Public access blocks": ["GET ?publicAccessBlock", "PUT ?publicAccessBlock", "DELETE ?publicAccessBlock"],
    "Replication": ["GET ?replication", "PUT ?replication", "DELETE ?replication"],
    "Retention policies": ["GET /?retention", "PUT /?retention"],
    "Torrents": ["GET /?torrent"],
    "Website configuration": ["GET ?website", "PUT ?website", "DELETE ?website"],
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_it_does_not_support_is_not_implemented_in_s3s_words(pfs: Gateway, name: str):
    key = TOKENS["readwrite"], TOKENS["readwrite"]
    with unchanged(pfs.root / "master.raw_data"):
        for request in UNSUPPORTED[name]:
            method, _, query = request.partition(" ")
            target = KEY + query[1:] if query.startswith("/") else BUCKET + query
            answer = ask(pfs, signed(pfs, method, target, key=key))
            assert refusal(answer) == (501, "NotImplemented"), request


def test_uploads_by_a_form_are_not_implemented(pfs: Gateway):
    """A form has no signature in its header: its policy has one, in the body."""
    kind = "multipart/form-data; boundary=x"
    body = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nform\r\n--x--\r\n'
    key = TOKENS["readwrite"], TOKENS["readwrite"]
    answer = ask(pfs, signed(pfs, "POST", BUCKET, key=key, headers={"content-type": kind}, body=body))
    assert refusal(answer) == (501, "NotImplemented")
    headers = {"Host": pfs.address, "Content-Type": kind, "Content-Length": str(len(body))}
    assert refusal(ask(pfs, Request("POST", BUCKET, headers, body))) == (501, "NotImplemented")
    assert not (pfs.root / "master.raw_data/form").exists()


def test_encryption_that_is_asked_for_an_object_is_not_left_out_silently(pfs: Gateway, s3: Any):
    arguments = {"Bucket": "master.raw_data", "Key": "secret", "ServerSideEncryption": "aws:kms"}
    assert code_of(s3.put_object, **arguments) == "NotImplemented"
    assert not (pfs.root / "master.raw_data/secret").exists()


def test_copies_tags_and_the_region_which_it_does_not_support_work(s3: Any):
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.copy_object(Bucket="master.raw_data", Key="copy", CopySource="master.raw_data/file.csv")
    s3.put_object_tagging(Bucket="master.raw_data", Key="copy", Tagging=tags)
    s3.put_bucket_tagging(Bucket="master.raw_data", Tagging=tags)
    assert s3.get_object(Bucket="master.raw_data", Key="copy")["Body"].read() == b"master.raw_data"
    assert s3.get_object_tagging(Bucket="master.raw_data", Key="copy")["TagSet"] == tags["TagSet"]
    assert s3.get_bucket_tagging(Bucket="master.raw_data")["TagSet"] == tags["TagSet"]
    assert s3.get_bucket_location(Bucket="master.raw_data")["LocationConstraint"] is None


def test_a_setting_names_buckets_by_the_environment_too(tmp_path: Path):
    for name in ("one", "two", "three"):
        (tmp_path / "data" / name).mkdir(parents=True)
    environ = {"S3GATE_READ_ONLY_BUCKETS": "one, tw?"}
    with Gateway(tmp_path / "data", environ=environ) as gateway:
        s3 = gateway.boto3()
        codes = {name: code_of(s3.put_object, Bucket=name, Key="k") for name in ("one", "two", "three")}
    assert codes == {"one": "AccessDenied", "two": "AccessDenied", "three": "none"}
