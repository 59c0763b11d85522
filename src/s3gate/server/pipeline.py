"""The way of a request, one straight line from the wire to the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from s3gate.access.authorize import acting, authorize
from s3gate.auth.authenticate import authenticate
from s3gate.core.errors import S3Error
from s3gate.core.names import bucket_name_fault
from s3gate.core.wire import Wire
from s3gate.operations.call import Call
from s3gate.operations.intake import read_document
from s3gate.operations.result import Result
from s3gate.server.body import ClientDisconnected, Receive, RequestBody
from s3gate.server.cycle import FILE
from s3gate.server.file_sender import FileEnded
from s3gate.server.gateway import Gateway
from s3gate.server.ids import host_id, new_request_id
from s3gate.server.render import Answer, Send, error_answer, late_answer, open_answer, send_answer, send_at_once
from s3gate.server.wire import from_scope, headers_of, with_query_headers
from s3gate.telemetry.served import Served

__all__ = ["Pipeline"]

# "Verifying bucket ownership with bucket owner condition" of the S3 user guide.
_OWNER_HEADER = "x-amz-expected-bucket-owner"

_log = logging.getLogger(__name__)


@lru_cache(maxsize=4096)
def _may_be_there(bucket: str) -> bool:
    return bucket_name_fault(bucket, relaxed=True) is None


class Pipeline:
    """The S3 surface as an ASGI application for http scopes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._host_id = host_id()
        self._telemetry = gateway.telemetry

    def go_on_with(self, gateway: Gateway) -> None:
        """Serve requests to come by this gateway, whose store is the same."""
        self._gateway = gateway

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        if self._gateway.forwarded is not None:
            scope = self._gateway.forwarded.resolved(scope, headers)
        body = RequestBody(receive, headers, self._gateway.batch_bytes)
        served = Served(scope, headers, new_request_id(), self._host_id, time.perf_counter_ns())
        answer = None
        self._telemetry.begin()
        try:
            answer = await self._answer(served, body)
            served.status, served.turned_ns = answer.status, time.perf_counter_ns()
            await send_answer(answer, body=body, receive=receive, send=send, served=served)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            # The server cancels what outlasts the grace time, and nothing else. It would take this for a fault.
            _log.warning(
                "request %s: %s %r was cut off: the gateway stops",
                served.request_id,
                scope["method"],
                scope["raw_path"],
            )
            if answer is None:
                answer = self._fault(S3Error("ServiceUnavailable"), served)
                served.status, served.turned_ns = answer.status, time.perf_counter_ns()
                await send_at_once(answer, send=send, served=served)
        except (S3Error, FileEnded) as error:
            # Another program has changed the file, mostly. Breaking the answer off is all that can be said.
            _log.warning(
                "request %s: the answer was broken off: %s", served.request_id, str(error) or "the file has ended"
            )
        except Exception:
            # The answer has begun: breaking it off is all that can be said.
            _log.exception("request %s: the answer was broken off", served.request_id)
        finally:
            served.received, served.read_ns = body.received, body.ended_ns
            self._telemetry.end(served)

    async def _answer(self, served: Served, body: RequestBody) -> Answer:
        scope = served.scope
        try:
            result = await self._result(from_scope(scope, served.headers), body, served)
            served.answer_headers = result.headers
            if result.content is not None:
                served.size = result.content.reader.record.size
            if result.late is not None:
                return late_answer(result, fault=lambda error: bytes(self._fault(error, served).body))
            zero_copy = FILE in scope.get("extensions", ())
            return await open_answer(result, head=scope["method"] == "HEAD", zero_copy=zero_copy)
        except ClientDisconnected:
            raise
        except Exception as error:
            return self._fault(error, served)

    def _fault(self, error: Exception, served: Served) -> Answer:
        scope, request_id = served.scope, served.request_id
        if not isinstance(error, S3Error):
            _log.error("request %s: %s %r failed", request_id, scope["method"], scope["raw_path"], exc_info=error)
            error = S3Error("InternalError")
        if error.status >= 400:  # a 304 is none
            served.error_code, served.error_message = error.code, error.message
        resource = scope["raw_path"].decode("latin-1")
        head = scope["method"] == "HEAD"
        return error_answer(error, resource=resource, request_id=request_id, host_id=served.host_id, head=head)

    async def _result(self, wire: Wire, body: RequestBody, served: Served) -> Result:
        gateway = self._gateway
        if gateway.limits is not None:
            gateway.limits.admit()
        target = gateway.addressing.resolve(wire)
        served.bucket, served.key = target.bucket, target.key
        request = with_query_headers(wire) if wire.query else wire
        op = gateway.routes.match(wire.method, target.level, request.query, request.headers)
        action = op.permission(request.query) if request.query else op.action
        served.operation, served.action = op.name, action
        who = authenticate(wire, gateway.credentials, gateway.auth_rules, host_bucket=target.host_bucket)
        if gateway.limits is not None:
            gateway.limits.admit_key(who.caller.access_key)
        caller = acting(who.caller, open_access=gateway.open_access)
        if not caller.anonymous:
            served.requester, served.access_key = caller.owner, caller.access_key
        bucket = None
        if op.finds_bucket:
            if not _may_be_there(target.bucket):
                raise S3Error("InvalidBucketName", BucketName=target.bucket)
            bucket = await gateway.storage.find_bucket(target.bucket)
            if _OWNER_HEADER in request.headers and request.headers[_OWNER_HEADER] != bucket.owner.id:
                raise S3Error("AccessDenied")
            served.bucket_owner = bucket.owner
        authorize(caller, action, bucket, target.key, name=target.bucket, protection=gateway.protection)
        require = partial(authorize, caller, protection=gateway.protection)
        call = Call(request, caller, bucket, gateway.storage, body, who.payload, gateway.rules, require)
        if op.binder.document is None:
            args = op.binder.bind(target.bucket, target.key, request)
        else:
            read = partial(read_document, call)
            args = await op.binder.bind_document(target.bucket, target.key, request, read=read)
        return await op.handler(call, args)
