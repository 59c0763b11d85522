"""The parts of uvicorn that the gateway's own classes build on, and whether a release still has them."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["missing_from_cycle", "missing_from_protocol"]

# What GatewayProtocol builds on; a release without one of them gets its own protocol, unbounded.
_PROTOCOL_METHODS = (
    "data_received",
    "connection_made",
    "connection_lost",
    "on_message_begin",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "_start_asgi_task",
    "send_400_response",
    "_unsupported_upgrade_warning",
    "timeout_keep_alive_handler",
)
_PROTOCOL_ATTRIBUTES = (
    "url",
    "headers",
    "expect_100_continue",
    "scope",
    "scheme",
    "cycle",
    "transport",
    "parser",
    "loop",
    "flow",
    "pipeline",
    "tasks",
    "app",
    "app_state",
    "asgi_version",
    "client",
    "server",
    "server_state",
    "timeout_keep_alive",
)


def missing_from_protocol() -> list[str]:
    """What this release lacks of what server.protocol builds on, by name."""
    known = set(HttpToolsProtocol.__init__.__code__.co_names + HttpToolsProtocol.on_message_begin.__code__.co_names)
    methods = [name for name in _PROTOCOL_METHODS if name not in vars(HttpToolsProtocol)]
    return methods + [name for name in _PROTOCOL_ATTRIBUTES if name not in known]


# The parts of uvicorn's cycle that these classes build on: all that its `__init__` sets, and no more.
_CYCLE_METHODS = ("send", "receive", "run_asgi")
_CYCLE_ATTRIBUTES = frozenset(
    {
        "scope",
        "transport",
        "flow",
        "logger",
        "access_logger",
        "access_log",
        "default_headers",
        "message_event",
        "on_response",
        "disconnected",
        "keep_alive",
        "waiting_for_100_continue",
        "body",
        "more_body",
        "response_started",
        "response_complete",
        "chunked_encoding",
        "expected_content_length",
    }
)


def missing_from_cycle() -> list[str]:
    """What a release of uvicorn lacks of it, or has besides, by name."""
    known = {name for name in RequestResponseCycle.__init__.__code__.co_names if name != "bytearray"}
    methods = [name for name in _CYCLE_METHODS if name not in vars(RequestResponseCycle)]
    return methods + sorted(known ^ _CYCLE_ATTRIBUTES)
