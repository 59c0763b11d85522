"""The way of a request, one straight line from the wire to the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from s3gate.access.authorize import acting, authorize
from s3gate.auth.authenticate import authenticate
from s3gate.core.errors import S3Error
from s3gate.core.names import bucket_name_fault
from s3gate.core.values import Bucket
from s3gate.core.wire import Wire
from s3gate.operations.call import Call
from s3gate.operations.intake import read_document
from s3gate.operations.registry import Operation
from s3gate.operations.result import Result
from s3gate.server.body import ClientDisconnected, Receive, RequestBody
from s3gate.server.cycle import WHOLE, ZERO_COPY
from s3gate.server.file_sender import FileEnded
from s3gate.server.gateway import Gateway
from s3gate.server.ids import Ids, host_id, new_request_id
from s3gate.server.render import Answer, Send, error_answer, late_answer, open_answer, send_answer, send_at_once
from s3gate.server.wire import from_scope, headers_of, with_query_headers

__all__ = ["Pipeline"]

_log = logging.getLogger(__name__)


class Pipeline:
    """The S3 surface as an ASGI application for http scopes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._host_id = host_id()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        ids = Ids(new_request_id(), self._host_id)
        headers = headers_of(scope)
        body = RequestBody(receive, headers)
        answer = None
        try:
            answer = await self._answer(scope, headers, body, ids)
            whole = WHOLE in scope.get("extensions", ())
            await send_answer(answer, ids=ids, body=body, receive=receive, send=send, whole=whole)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            # The server cancels what outlasts the grace time, and nothing else. It would take this for a fault.
            _log.warning(
                "request %s: %s %r was cut off: the gateway stops", ids.request, scope["method"], scope["raw_path"]
            )
            if answer is None:
                await send_at_once(self._fault(S3Error("ServiceUnavailable"), scope, ids), ids=ids, send=send)
        except (S3Error, FileEnded) as error:
            # Another program has changed the file, mostly. Breaking the answer off is all that can be said.
            _log.warning("request %s: the answer was broken off: %s", ids.request, str(error) or "the file has ended")
        except Exception:
            # The answer has begun: breaking it off is all that can be said.
            _log.exception("request %s: the answer was broken off", ids.request)

    async def _answer(
        self, scope: Mapping[str, Any], headers: Mapping[str, str], body: RequestBody, ids: Ids
    ) -> Answer:
        try:
            result = await self._result(from_scope(scope, headers), body)
            if result.late is not None:
                return late_answer(result, fault=lambda error: bytes(self._fault(error, scope, ids).body))
            zero_copy = ZERO_COPY in scope.get("extensions", ())
            return await open_answer(result, head=scope["method"] == "HEAD", zero_copy=zero_copy)
        except ClientDisconnected:
            raise
        except Exception as error:
            return self._fault(error, scope, ids)

    def _fault(self, error: Exception, scope: Mapping[str, Any], ids: Ids) -> Answer:
        if not isinstance(error, S3Error):
            _log.error("request %s: %s %r failed", ids.request, scope["method"], scope["raw_path"], exc_info=error)
            error = S3Error("InternalError")
        resource = scope["raw_path"].decode("latin-1")
        return error_answer(error, resource=resource, ids=ids, head=scope["method"] == "HEAD")

    async def _result(self, wire: Wire, body: RequestBody) -> Result:
        gateway = self._gateway
        target = gateway.addressing.resolve(wire)
        request = with_query_headers(wire)
        op = gateway.routes.match(wire.method, target.level, request.query, request.headers)
        who = authenticate(wire, gateway.credentials, gateway.auth_rules, host_bucket=target.host_bucket)
        caller = acting(who.caller, open_access=gateway.open_access)
        bucket = await self._find_bucket(op, target.bucket, request.headers)
        require = partial(authorize, caller, read_only=gateway.read_only)
        require(op.permission(request.query), bucket, target.key)
        call = Call(request, caller, bucket, gateway.storage, body, who.payload, gateway.rules, require)
        if op.binder.document is None:
            args = op.binder.bind(target.bucket, target.key, request)
        else:
            read = partial(read_document, call)
            args = await op.binder.bind_document(target.bucket, target.key, request, read=read)
        return await op.handler(call, args)

    async def _find_bucket(self, op: Operation, name: str, headers: Mapping[str, str]) -> Bucket | None:
        if not op.finds_bucket:
            return None
        if bucket_name_fault(name, relaxed=True) is not None:
            raise S3Error("InvalidBucketName", BucketName=name)
        bucket = await self._gateway.storage.find_bucket(name)
        # "Verifying bucket ownership with bucket owner condition" of the S3 user guide.
        if headers.get("x-amz-expected-bucket-owner", bucket.owner.id) != bucket.owner.id:
            raise S3Error("AccessDenied")
        return bucket
