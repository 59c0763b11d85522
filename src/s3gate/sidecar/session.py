"""From a command and its inputs to its exit status and its output: a gateway that is there for this one command."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from s3gate import bootstrap
from s3gate.config import Settings, load_settings
from s3gate.sidecar.command import GatewayLostError, run_beside, signals_held, stop
from s3gate.sidecar.environment import UNSET, variables, write_env_file
from s3gate.sidecar.gateway_process import GatewayProcess
from s3gate.sidecar.output import OUT, Output
from s3gate.storage.backend import Backend, StartError

__all__ = ["Session", "run"]


@dataclass(frozen=True, slots=True)
class Session:
    """A command and what it is given.

    `inputs` are directories by the names of their buckets. `out` is the directory that is to hold what the command
    writes to the bucket `out`, None for no such bucket. `settings` are those of the gateway that the user may choose,
    by name.
    """

    command: Sequence[str]
    inputs: Mapping[str, str]
    out: str | None
    env_file: str | None
    settings: Mapping[str, object]


def run(session: Session) -> int:
    """Run the command beside its gateway; gives its exit status. Its output appears only if that is 0.

    Raises StartError, ListenError, ConfigError or OSError before the command has begun, GatewayLostError, and
    OutputError when the command has succeeded in vain. Each tells the remedy.
    """
    with signals_held() as mask:
        if session.out is None:
            with tempfile.TemporaryDirectory(prefix="s3gate-") as data_dir:
                return _beside_gateway(session, _settings(session, data_dir), mask)
        with Output(session.out) as output:
            settings = _settings(session, output.data_dir)
            status = _beside_gateway(session, settings, mask)
            if status == 0:
                output.publish(lambda: asyncio.run(_abort_uploads(bootstrap.open_storage(settings))))
            return status


def _settings(session: Session, data_dir: str) -> Settings:
    """The settings of the gateway: nothing of the environment, which may be meant for another one."""
    has_out = session.out is not None
    fixed = {
        "data_dir": data_dir,
        "listen": "127.0.0.1:0",
        "credentials_path": os.path.join(data_dir, "credentials.jsonl"),  # there is none, and none is asked for
        "bucket_names": "relaxed",
        "create_buckets": [OUT] if has_out else [],
        "read_only": not has_out,
        "durability": "none",  # the output is forced to the medium once, in the end
        "janitor_interval_secs": 0,
        "metrics": "off",  # its buckets would be walked for them
    }
    return load_settings({**session.settings, **fixed}, {}, None)


def _beside_gateway(session: Session, settings: Settings, mask: Iterable[int]) -> int:
    bootstrap.prepare(settings)
    gateway = GatewayProcess(settings, session.inputs)
    lost = False
    try:
        values = variables(gateway.endpoint, settings.region, os.environ)
        if session.env_file is not None:
            _write_env_file(session.env_file, values)
        environ = {name: value for name, value in os.environ.items() if name not in UNSET}
        return run_beside(gateway, session.command, {**environ, **values}, mask=mask)
    except GatewayLostError:
        lost = True
        raise
    finally:
        if not lost:
            stop(gateway)


def _write_env_file(path: str, values: Mapping[str, str]) -> None:
    try:
        write_env_file(path, values)
    except OSError as error:
        raise StartError(f"Cannot write the variables to {path}: {error.strerror}.") from error


async def _abort_uploads(storage: Backend) -> None:
    """What was begun and not completed is no output."""
    await storage.start()
    try:
        bucket = await storage.find_bucket(OUT)
        for upload in await storage.list_uploads(bucket, ""):
            await storage.abort_upload(bucket, upload)
    finally:
        await storage.stop()
