"""botocore's S3 model as the oracle of routing: every operation is itself here, or says that it is not implemented."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

import botocore.session
import pytest

from s3gate.operations import ROUTES
from s3gate.operations.registry import Level

# The model's twins of other operations: the same request, told apart by nothing or by the host alone.
TWINS = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}
# What the gateway refuses by name beside the model.
FOREIGN = {"ListenBucketNotification", "ListenNotification", "GetObjectLambda"}

MODEL = botocore.session.get_session().get_service_model("s3")


@dataclass(frozen=True)
class Request:
    method: str
    level: Level
    query: dict[str, str]
    headers: dict[str, str]


def request_of(name: str) -> Request:
    """The smallest request that the model has for an operation, with the x-id that SDKs add."""
    op = MODEL.operation_model(name)
    path, _, query_text = op.http["requestUri"].partition("?")
    query = dict(parse_qsl(query_text, keep_blank_values=True))
    headers = {}
    for member in op.input_shape.required_members if op.input_shape else []:
        place = op.input_shape.members[member].serialization
        if place.get("location") == "querystring":
            query[place["name"]] = "1"
        if place.get("location") == "header":
            headers[place["name"].lower()] = "x"
    level = Level.OBJECT if "{Key+}" in path else Level.SERVICE if path == "/" else Level.BUCKET
    return Request(op.http["method"], level, query | {"x-id": name}, headers)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_every_operation_of_the_model_resolves_to_itself(name: str) -> None:
    asked = request_of(name)
    found = ROUTES.match(asked.method, asked.level, asked.query, asked.headers)
    assert found.name == TWINS.get(name, name)


def test_nothing_is_served_or_refused_by_name_that_the_model_does_not_have() -> None:
    assert {op.name for op in ROUTES.operations} - set(MODEL.operation_names) == FOREIGN


def test_the_sub_resources_are_the_models_and_the_foreign_ones() -> None:
    bare = {
        key
        for name in MODEL.operation_names
        for key, value in parse_qsl(MODEL.operation_model(name).http["requestUri"].partition("?")[2], True)
        if not value
    }
    assert ROUTES.subresources == bare | {"events", "lambdaArn"}
