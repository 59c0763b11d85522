"""Delta Lake: concurrent commits to one table, each decided by a conditional PUT."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway

WRITERS = 6
APPENDS = 4


@pytest.fixture(scope="module")
def gateways(gateway: Gateway) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways over the same directory, which know nothing of one another."""
    with Gateway(gateway.root) as second:
        yield gateway, second


def _options(gateway: Gateway) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": gateway.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "conditional_put": "etag",
    }


def _row(writer: int, step: int) -> pa.Table:
    return pa.table({"writer": [writer], "step": [step]})


def test_no_commit_is_lost_and_each_version_has_one_winner(gateways: tuple[Gateway, Gateway], made_bucket: str):
    gateway, table, options = gateways[0], f"s3://{made_bucket}/table", _options(gateways[0])
    write_deltalake(table, _row(-1, 0), storage_options=options)

    def append(writer: int) -> None:
        for step in range(APPENDS):
            write_deltalake(
                table,
                _row(writer, step),
                mode="append",
                storage_options=_options(gateways[writer % 2]),
                commit_properties=CommitProperties(max_commit_retries=100),
            )

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(append, range(WRITERS)))

    final = DeltaTable(table, storage_options=options)
    rows = final.to_pyarrow_table().to_pylist()
    assert final.version() == WRITERS * APPENDS
    assert sorted((row["writer"], row["step"]) for row in rows) == [
        (-1, 0),
        *((writer, step) for writer in range(WRITERS) for step in range(APPENDS)),
    ]
    log = sorted(path.name for path in (gateway.root / made_bucket / "table/_delta_log").glob("*.json"))
    assert log == [f"{version:020d}.json" for version in range(WRITERS * APPENDS + 1)]


def test_of_writers_that_do_not_retry_exactly_one_wins(gateways: tuple[Gateway, Gateway], made_bucket: str):
    table, options = f"s3://{made_bucket}/table", _options(gateways[0])
    write_deltalake(table, _row(-1, 0), storage_options=options)
    seen = [DeltaTable(table, storage_options=_options(gateways[writer % 2])) for writer in range(WRITERS)]

    def commit(writer: int) -> bool:
        properties = CommitProperties(max_commit_retries=0)
        try:
            write_deltalake(seen[writer], _row(writer, 0), mode="append", commit_properties=properties)
        except CommitFailedError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(commit, range(WRITERS)))

    final = DeltaTable(table, storage_options=options)
    assert final.version() == outcomes.count(True)
    winners = {row["writer"] for row in final.to_pyarrow_table().to_pylist()} - {-1}
    assert winners == {writer for writer, won in enumerate(outcomes) if won}
