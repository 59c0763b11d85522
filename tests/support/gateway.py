"""A real `s3gate serve` process for tests, over a directory of the test's choosing."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config

from support.fast_paths import fast_path_flags

__all__ = ["ACCESS_KEY", "REGION", "SECRET_KEY", "Gateway", "free_port"]

ACCESS_KEY = "AKIDEXAMPLEOFTESTS01"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

# Settings of whoever runs the tests must reach neither the gateway nor its clients.
_FOREIGN = ("AWS_", "S3GATE_", "S3_", "MINIO_", "ROOT_ACCESS", "ROOT_SECRET", "RCLONE_", "RESTIC_", "MC_")
# Where programs look for certificates to trust; those of the machine's settings do not know the test's own.
_AUTHORITIES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class Gateway:
    """`s3gate serve ROOT` with two workers on a free loopback port, for as long as the `with` block lasts.

    `tls` is a certificate for localhost, which its clients trust, and its key, both PEM files. `arguments` go to the
    command line as they are; `environ` is added to the process's environment. With
    `credentials` empty no --credential is given, for tests that bring their own by arguments or environment.
    Leaving the block stops the process with SIGTERM and raises AssertionError, with the process's output, unless it
    ended with status 0 and logged no traceback.
    """

    def __init__(
        self,
        root: Path,
        *arguments: str,
        workers: int = 2,
        credentials: Sequence[tuple[str, str]] = ((ACCESS_KEY, SECRET_KEY),),
        path_prefix: str = "",
        tls: tuple[Path, Path] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.path_prefix = path_prefix
        self.tls = tls
        self.workers = workers
        self.credentials = tuple(credentials)
        self.arguments = arguments
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Gateway:
        self._scratch = tempfile.TemporaryDirectory(prefix="s3gate-test-")
        self.home = Path(self._scratch.name)
        self._log_path = self.home / "gateway.log"
        self.port = free_port()
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_clean_environ(), "HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self._environ},
                start_new_session=True,
                **self.process_options(),
            )
        try:
            self._wait_until_serving()
        except BaseException:
            self._kill()
            self._scratch.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except AssertionError:
            if error is None:
                raise
            error.add_note(f"the gateway's output:\n{self.log}")
        finally:
            self._kill()
            self._scratch.cleanup()

    def command(self) -> list[str]:
        """The command line that is run."""
        command = [sys.executable, "-m", "s3gate", "serve", str(self.root)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--workers", str(self.workers)]
        for access_key, secret_key in self.credentials:
            command += ["--credential", f"{access_key}:{secret_key}"]
        if self.path_prefix:
            command += ["--path-prefix", self.path_prefix]
        if self.tls:
            command += ["--tls-cert", str(self.tls[0]), "--tls-key", str(self.tls[1])]
        return [*command, *fast_path_flags(), *self.arguments]

    def process_options(self) -> dict[str, Any]:
        """Further arguments of Popen, for gateways that run in other ways."""
        return {}

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        """What clients call the endpoint URL, with the path prefix."""
        return f"{self._origin}{self.path_prefix}"

    @property
    def _origin(self) -> str:
        return f"https://localhost:{self.port}" if self.tls else f"http://{self.address}"

    @property
    def pid(self) -> int:
        """The process that was started: the supervisor of the workers."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the process has written so far."""
        return self._log_path.read_text(errors="replace")

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a client program: these credentials, this endpoint, a HOME of its own.

        Nothing of the machine's proxies and AWS settings is in it, and AWS's programs do not retry.
        """
        access_key, secret_key = self.credentials[0]
        authority = {name: str(self.tls[0]) for name in _AUTHORITIES} if self.tls else {}
        return {
            **_clean_environ(),
            **authority,
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def boto3(self, **config: Any) -> Any:
        """An S3 client for this gateway; it does not retry, so that no failure is smoothed over.

        `config` goes to botocore's Config and wins over what is set here.
        """
        access_key, secret_key = self.credentials[0]
        settings: dict[str, Any] = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=REGION,
            config=Config(**{**settings, **config}),
            verify=str(self.tls[0]) if self.tls else None,
        )

    def stop(self) -> None:
        """Stop with SIGTERM; AssertionError unless the process ended well. A second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status: int | None = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
            self._process = process
        assert status == 0, f"the gateway ended with status {status} on SIGTERM:\n{self.log}"
        assert "Traceback (most recent call last)" not in self.log, f"the gateway failed inside:\n{self.log}"

    def forget(self) -> None:
        """The process has been killed: it is not stopped any more."""
        self._kill()

    def _wait_until_serving(self) -> None:
        assert self._process is not None
        trust = ssl.create_default_context(cafile=self.tls[0]) if self.tls else None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the gateway ended at its start:\n{self.log}"
            try:
                with urllib.request.urlopen(f"{self._origin}/healthz", timeout=1, context=trust) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"the gateway did not serve within {_START_SECONDS} s:\n{self.log}")

    def _kill(self) -> None:
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._process = None


def _clean_environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }


def free_port() -> int:
    """A port of the loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
