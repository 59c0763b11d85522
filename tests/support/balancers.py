"""nginx and HAProxy with the files of conf/, in front of gateways on the loopback."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config

from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway, free_port
from support.programs import REPOSITORY, find_program

__all__ = ["BALANCERS", "Balancer", "HAProxy", "Nginx"]

# The addresses of the gateways as the files have them, and the port of the balancer.
_GATEWAYS = ("192.168.1.10:9900", "192.168.1.11:9900")
_START_SECONDS = 30.0
_SBIN = "/usr/sbin:/sbin"


class Balancer:
    """A load balancer over two gateways, for as long as the `with` block lasts. What is changed of its file is told."""

    name: str

    def __init__(self, scratch: Path, gateways: Sequence[Gateway]) -> None:
        self.scratch = scratch
        self.gateways = gateways
        self.port = free_port()

    def configuration(self) -> str:
        """The text of its file, with the addresses of this machine."""
        text = (REPOSITORY / "conf" / self.name).read_text()
        for written, gateway in zip(_GATEWAYS, self.gateways, strict=True):
            assert written in text
            text = text.replace(written, gateway.address)
        return text

    def command(self, path: Path) -> list[str]:
        """What runs it in the foreground."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """What clients call the endpoint URL."""
        return f"http://127.0.0.1:{self.port}"

    def boto3(self, **config: Any) -> Any:
        """An S3 client that does not retry."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
        )

    def __enter__(self) -> Balancer:
        path = self.scratch / self.name
        path.write_text(self.configuration())
        self._log = (self.scratch / f"{self.name}.log").open("w+b")
        self._process = subprocess.Popen(
            self.command(path),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:{_SBIN}"},
        )
        try:
            self._wait_until_serving()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(_START_SECONDS)
        if error is not None:
            error.add_note(f"{self.name}:\n{self.log}")
        self._log.close()

    @property
    def log(self) -> str:
        """What it has written."""
        return Path(self._log.name).read_text(errors="replace")

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"it ended at its start:\n{self.log}"
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"it did not serve within {_START_SECONDS} s:\n{self.log}")


class Nginx(Balancer):
    """nginx by conf/nginx.conf. Its own files lie in the scratch directory."""

    name = "nginx.conf"

    def configuration(self) -> str:
        text = super().configuration()
        assert "listen 80;" in text
        places = "".join(
            f"    {kind}_temp_path {self.scratch}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace("http {\n", "http {\n" + places, 1)

    def command(self, path: Path) -> list[str]:
        own = f"daemon off; pid {self.scratch}/nginx.pid; error_log stderr;"
        return [find_program("nginx", f"{os.environ['PATH']}:{_SBIN}"), "-e", "stderr", "-c", str(path), "-g", own]


class HAProxy(Balancer):
    """HAProxy by conf/haproxy.cfg."""

    name = "haproxy.cfg"

    def configuration(self) -> str:
        text = super().configuration()
        assert "bind *:80\n" in text
        return text.replace("bind *:80\n", f"bind 127.0.0.1:{self.port}\n")

    def command(self, path: Path) -> list[str]:
        return [find_program("haproxy", f"{os.environ['PATH']}:{_SBIN}"), "-db", "-f", str(path)]


BALANCERS = {"nginx": Nginx, "haproxy": HAProxy}
