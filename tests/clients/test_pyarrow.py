"""pyarrow's S3FileSystem: the AWS SDK for C++, with CRC64NVME checksums."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from support.files import MIB, payload
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway


@pytest.fixture
def arrow(gateway: Gateway) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
        scheme="http",
        endpoint_override=gateway.address,
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


def test_a_partitioned_dataset_is_written_and_queried(arrow: fs.S3FileSystem, gateway: Gateway, bucket: str):
    table = pa.table({"day": [number % 5 for number in range(50_000)], "value": list(range(50_000))})
    partitioning = ds.partitioning(pa.schema([("day", pa.int64())]), flavor="hive")
    arrow.create_dir(bucket)

    ds.write_dataset(table, f"{bucket}/events", filesystem=arrow, format="parquet", partitioning=partitioning)
    found = ds.dataset(f"{bucket}/events", filesystem=arrow, format="parquet", partitioning=partitioning)
    third = found.to_table(columns=["value"], filter=ds.field("day") == 3)

    assert sorted(third["value"].to_pylist()) == [number for number in range(50_000) if number % 5 == 3]
    stored = sorted((gateway.root / bucket / "events").glob("day=*/*.parquet"))
    assert len(stored) == 5
    assert sum(pq.ParquetFile(path).metadata.num_rows for path in stored) == 50_000


def test_a_large_stream_goes_up_in_parts_and_is_read_at_random(
    arrow: fs.S3FileSystem, gateway: Gateway, made_bucket: str
):
    content = payload(20 * MIB)

    with arrow.open_output_stream(f"{made_bucket}/large.bin", metadata={"Content-Type": "text/plain"}) as sink:
        for start in range(0, len(content), 3 * MIB):
            sink.write(content[start : start + 3 * MIB])
    with arrow.open_input_file(f"{made_bucket}/large.bin") as source:
        middle = source.read_at(1000, 9_999_999)
        tail = source.read_at(1000, len(content) - 1000)
    with arrow.open_input_stream(f"{made_bucket}/large.bin") as source:
        whole = source.read()

    assert (gateway.root / made_bucket / "large.bin").read_bytes() == content
    assert (middle, tail, whole) == (content[9_999_999:10_000_999], content[-1000:], content)
    assert gateway.boto3().head_object(Bucket=made_bucket, Key="large.bin")["ContentType"] == "text/plain"


def test_directories_are_made_listed_copied_and_removed(arrow: fs.S3FileSystem, gateway: Gateway, made_bucket: str):
    arrow.create_dir(f"{made_bucket}/empty")
    for name in ("dir/one", "dir/sub/two"):
        with arrow.open_output_stream(f"{made_bucket}/{name}") as sink:
            sink.write(name.encode())
    arrow.copy_file(f"{made_bucket}/dir/one", f"{made_bucket}/copy")
    arrow.move(f"{made_bucket}/dir/sub/two", f"{made_bucket}/moved")

    infos = arrow.get_file_info(fs.FileSelector(made_bucket, recursive=True))
    files = {info.path: info.size for info in infos if info.type == fs.FileType.File}
    directories = {info.path for info in infos if info.type == fs.FileType.Directory}
    arrow.delete_dir(f"{made_bucket}/dir")

    assert files == {f"{made_bucket}/dir/one": 7, f"{made_bucket}/copy": 7, f"{made_bucket}/moved": 11}
    assert {f"{made_bucket}/empty", f"{made_bucket}/dir"} <= directories
    assert (gateway.root / made_bucket / "moved").read_bytes() == b"dir/sub/two"
    assert not (gateway.root / made_bucket / "dir/one").exists()
    arrow.delete_dir(made_bucket)
    assert not (gateway.root / made_bucket).exists()
