"""The variables by which a command finds its gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping

from s3gate.durable import write_all

__all__ = ["UNSET", "variables", "write_env_file"]

# Clients want some, and the gateway asks for none: these say so to whoever meets them.
_ACCESS_KEY, _SECRET_KEY = "any-access-key", "any-secret-key"
# Of an account that the command's environment may name: they would go with keys of another one.
UNSET = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_NO_PROXY = ("no_proxy", "NO_PROXY")


def variables(endpoint: str, region: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for a gateway at `endpoint` (an URL), on top of `environ`, that of the command.

    S3_ENDPOINT is Pachyderm's; the others are those of the AWS SDKs and tools ("Settings reference" of the AWS SDKs and
    Tools reference guide). Where a proxy is set the gateway is reached without it.
    """
    found = {
        "S3_ENDPOINT": endpoint,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
    if any(environ.get(name) for name in _PROXIES):
        host = endpoint.partition("://")[2].rpartition(":")[0]
        known = next((environ[name] for name in _NO_PROXY if environ.get(name)), "")
        found |= dict.fromkeys(_NO_PROXY, f"{known},{host}" if known else host)
    return found


def write_env_file(path: str, values: Mapping[str, str]) -> None:
    """Write the variables as lines NAME=VALUE, as `docker run --env-file` and systemd read them. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, "".join(f"{name}={value}\n" for name, value in values.items()).encode())
    finally:
        os.close(descriptor)
