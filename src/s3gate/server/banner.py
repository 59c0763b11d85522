"""What a user is told when the gateway serves: where, what, and the lines to type next."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Sequence

from s3gate import __version__
from s3gate.core.addresses import Address, UnixAddress
from s3gate.identity.model import Credential
from s3gate.settings import Settings

__all__ = ["banner", "endpoints"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # looked up, not bound


def endpoints(settings: Settings, ports: Sequence[int], hostname: str) -> list[str]:
    """The URLs under which the gateway answers, and its Unix sockets as `unix:/PATH`.

    For all addresses they are the loopback's and the host name's. `ports` are those of the TCP addresses.
    """
    scheme = "https" if settings.tls_cert else "http"
    free = iter(ports)
    found = []
    for address in settings.addresses:
        if isinstance(address, UnixAddress):
            found.append(str(address))
            continue
        port = next(free)
        hosts = [_EVERYWHERE[address.host], hostname] if address.host in _EVERYWHERE else [address.host]
        found += [f"{scheme}://{Address(name, port)}{settings.path_prefix}" for name in hosts if name]
    return found


def banner(settings: Settings, *, ports: Sequence[int], made: Credential | None) -> str:
    """The text that is printed once all workers are ready. `made` are credentials made by this start, else None."""
    urls = endpoints(settings, ports, socket.gethostname())
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
            f"  Credentials were made and are kept in {settings.credentials_file}. They are shown this once:",
            f"  {'Access key:':<12}{made.access_key}",
            f"  {'Secret key:':<12}{made.secret_key}",
        ]
    return "\n".join([*lines, "", *_commands(settings, _first(urls), made), ""])


def _first(urls: Sequence[str]) -> str:
    """The one for lines to paste: S3 clients speak TCP."""
    return next((url for url in urls if not url.startswith("unix:")), urls[0])


def _commands(settings: Settings, url: str, made: Credential | None) -> list[str]:
    """Lines to paste: the AWS CLI and MinIO's client. Secrets are in them only if they were just made."""
    if url.startswith("unix:"):
        return [f"  curl --unix-socket {shlex.quote(url.removeprefix('unix:'))} http://localhost/healthz"]
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
