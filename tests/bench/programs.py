"""The servers that can be measured: how each is found, started and told its credentials."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.signing import ACCESS_KEY, REGION, SECRET_KEY

__all__ = ["DURABILITIES", "PEERS", "Place", "Program", "find_peer", "gateway"]

DURABILITIES = ("none", "data", "full")


@dataclass(frozen=True, slots=True)
class Place:
    """What a server is given: a port on loopback, its data, a home for all else that it writes, and processes."""

    port: int
    data: Path
    home: Path
    workers: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Program:
    """A server in one configuration.

    `durability` is what its writes survive, in s3gate's words. `plain` servers list files that others put there.
    `s3` servers speak S3; those that do not are a limit to compare with, and no peers.
    """

    name: str
    kind: str
    executable: str
    command: Callable[[str, Place], list[str]]
    version: str
    durability: str = "none"
    plain: bool = True
    s3: bool = True
    environ: Mapping[str, str] | None = None
    reads: bool = True

    def argv(self, place: Place) -> list[str]:
        """The command line."""
        return self.command(self.executable, place)


@dataclass(frozen=True, slots=True)
class _Peer:
    """A kind of server; `version` is the command that tells its version."""

    executable: str
    command: Callable[[str, Place], list[str]]
    version: Callable[[str], list[str]] = lambda executable: [executable, "--version"]
    durability: str = "none"
    plain: bool = True
    s3: bool = True
    environ: Mapping[str, str] | None = None


def _nginx(executable: str, place: Place) -> list[str]:
    conf = place.home / "nginx.conf"
    temporary = place.data / ".nginx"
    conf.write_text(f"""
        user root; daemon off; pid {place.home}/pid; error_log {place.home}/error.log;
        worker_processes {place.workers}; events {{ }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type binary/octet-stream;
            client_body_temp_path {temporary}; client_max_body_size 0; client_body_buffer_size 128k;
            server {{
                listen {place.address} reuseport; root {place.data};
                location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
            }}
        }}
    """)
    return [executable, "-c", str(conf), "-e", str(place.home / "error.log")]


def _versitygw(executable: str, place: Place) -> list[str]:
    keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION]
    return [executable, "--port", place.address, *keys, "--quiet", "--keep-alive", "posix", str(place.data)]


def _minio(executable: str, place: Place) -> list[str]:
    return [executable, "server", "--quiet", "--address", place.address, str(place.data)]


def _rclone(executable: str, place: Place) -> list[str]:
    keys = f"{ACCESS_KEY},{SECRET_KEY}"
    return [executable, "serve", "s3", "--config", "", "--addr", place.address, "--auth-key", keys, str(place.data)]


def _s3s_fs(executable: str, place: Place) -> list[str]:
    keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
    return [executable, "--host", "127.0.0.1", "--port", str(place.port), *keys, str(place.data)]


def _moto_version(executable: str) -> list[str]:
    ask = "from importlib.metadata import version; print(version('moto'))"
    return [str(Path(executable).with_name("python3")), "-c", ask]


def _moto(executable: str, place: Place) -> list[str]:
    return [executable, "-H", "127.0.0.1", "-p", str(place.port)]


PEERS: Mapping[str, _Peer] = {
    "versitygw": _Peer("versitygw", _versitygw),
    "minio": _Peer(
        "minio", _minio, durability="data", plain=False,
        environ={"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off",
                 "MINIO_UPDATE": "off", "MINIO_REGION": REGION},
    ),
    "rclone": _Peer("rclone", _rclone),
    "s3s-fs": _Peer("s3s-fs", _s3s_fs),
    "moto": _Peer("moto_server", _moto, _moto_version, plain=False),
    "nginx": _Peer("nginx", _nginx, lambda executable: [executable, "-v"], s3=False),
}  # fmt: skip


def gateway(durability: str, *, reads: bool, upload_parts: str = "auto", checksum_type: str = "md5") -> Program:
    """s3gate of this environment, with metrics and an access log, as it is run.

    `reads` when it takes the loads that write nothing, as one durability is to do.
    """

    def command(executable: str, place: Place) -> list[str]:
        serve = [executable, "-m", "s3gate", "serve", str(place.data), "--listen", place.address, "--region", REGION]
        options = ["--workers", str(place.workers), "--durability", durability, "--log-level", "warning"]
        options += ["--upload-parts", upload_parts, "--checksum-type", checksum_type]
        options += ["--access-log", str(place.home / "access.log")]
        return [*serve, *options, "--root-access-key", ACCESS_KEY, "--root-secret-key", SECRET_KEY]

    unusual = [upload_parts] * (upload_parts != "auto") + [checksum_type] * (checksum_type != "md5")
    name = " ".join(["s3gate", durability, *unusual])
    version = _version([sys.executable, "-m", "s3gate", "version"])
    return Program(name, "s3gate", sys.executable, command, version, durability=durability, reads=reads)


def find_peer(name: str, path: str | None) -> Program | None:
    """A peer at a path, or from PATH; None when it is not there."""
    peer = PEERS[name]
    executable = shutil.which(path or peer.executable)
    if executable is None:
        return None
    return Program(
        name, name, executable, peer.command, _version(peer.version(executable)),
        durability=peer.durability, plain=peer.plain, s3=peer.s3, environ=peer.environ,
    )  # fmt: skip


def _version(command: list[str]) -> str:
    """The version of the Go module that a program was built from, else the first that its command tells."""
    if shutil.which("go"):
        module = re.search(r"^\tmod\t\S+\t(v\S+)", _said("go", "version", "-m", command[0]), re.MULTILINE)
        if module:
            return module[1]
    said = re.search(r"\d+\.\d+(\.\d+)?", _said(*command))
    return said[0] if said else "unknown"


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()
