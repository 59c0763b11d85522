"""What a user is told when the gateway serves: where, what, and the lines to type next."""

from __future__ import annotations

import os
import shlex
import socket

from s3gate import __version__
from s3gate.identity.model import Credential
from s3gate.settings import Address, Settings

__all__ = ["banner", "endpoints"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # looked up, not bound


def endpoints(settings: Settings, port: int, hostname: str) -> list[str]:
    """The URLs under which the gateway answers; for all addresses the loopback's and the host name's."""
    host = settings.address.host
    hosts = [_EVERYWHERE[host], hostname] if host in _EVERYWHERE else [host]
    scheme = "https" if settings.tls_cert else "http"
    return [f"{scheme}://{Address(name, port)}{settings.path_prefix}" for name in hosts if name]


def banner(settings: Settings, *, port: int, made: Credential | None) -> str:
    """The text that is printed once all workers are ready. `made` are credentials made by this start, else None."""
    urls = endpoints(settings, port, socket.gethostname())
    facts = {
        "Endpoint": "  ".join(urls),
        "Data": os.path.abspath(settings.data_dir) + (" (read only)" if settings.read_only else ""),
        "Region": settings.region,
        "Workers": str(settings.worker_count),
        "Durability": settings.durability,
    }
    lines = [f"s3gate {__version__} is ready"]
    lines += [f"  {name + ':':<12}{value}" for name, value in facts.items()]
    if settings.no_auth:
        lines += [
            "",
            "  WARNING: --no-auth is set: whoever can reach this address can read, change and delete everything.",
        ]
    if made is not None:
        lines += [
            "",
            f"  Credentials were made and are kept in {settings.credentials_path}. They are shown this once:",
            f"  {'Access key:':<12}{made.access_key}",
            f"  {'Secret key:':<12}{made.secret_key}",
        ]
    return "\n".join([*lines, "", *_commands(settings, urls[0], made), ""])


def _commands(settings: Settings, url: str, made: Credential | None) -> list[str]:
    """Lines to paste: the AWS CLI and MinIO's client. Secrets are in them only if they were just made."""
    if settings.no_auth:
        return [
            f"  aws --no-sign-request --endpoint-url {url} s3 ls",
            f"  mc alias set s3gate {url} '' ''",
        ]
    access_key, secret_key = "YOUR_ACCESS_KEY", "YOUR_SECRET_KEY"
    if made is not None:
        access_key, secret_key = made.access_key, made.secret_key
    elif settings.fixed_credentials:
        access_key = settings.fixed_credentials[0].access_key
    access_key, secret_key = shlex.quote(access_key), shlex.quote(secret_key)
    keys = f"AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}"
    return [
        f"  export {keys} AWS_DEFAULT_REGION={settings.region}",
        f"  aws --endpoint-url {url} s3 ls",
        f"  mc alias set s3gate {url} {access_key} {secret_key}",
    ]
