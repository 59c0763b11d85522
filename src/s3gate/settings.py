"""Every setting of the gateway: its name, type, default and meaning, and the rules that a value obeys."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s3gate.core.addresses import Address, UnixAddress, parse_listen
from s3gate.core.names import RESERVED, bucket_name_fault
from s3gate.core.upload_memory import batch_size, batches_ahead
from s3gate.identity.keys import split_pair
from s3gate.identity.model import Credential
from s3gate.setting_types import (
    AccessKey,
    BucketPattern,
    ChunkSize,
    Domain,
    Endpoint,
    FilePath,
    Levels,
    Listen,
    Pair,
    PathPrefix,
    Peer,
    Region,
    SecretKey,
)

__all__ = ["Settings"]

_MAX_WORKERS = 8


def _setting(default: Any, description: str, **hints: str) -> Any:
    """A field of Settings. Hints: `flag` (of the command line), `off` (for false), `metavar`, `repeat`, `live`."""
    return Field(default, description=description, json_schema_extra=dict(hints))


class Settings(BaseModel):
    """All settings, checked. Secrets are masked in every printed form."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data_dir: FilePath = _setting(
        "./data",
        "The directory that is served: each directory in it is a bucket. Made when it is missing.",
        flag="DIR",
    )
    listen: Listen = _setting(
        "0.0.0.0:9900",
        "Where to listen: `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:/PATH`, or several, separated by commas. "
        "Port 0 takes any free port. A Unix socket speaks plain HTTP.",
        metavar="HOST:PORT",
        repeat="yes",
    )
    region: Region = _setting("us-east-1", "The region that requests are signed for and that buckets are in.")
    check_region: bool = _setting(
        True,
        "Refuse requests that are signed for another region, and buckets that are to be made in one. Off: the regions "
        "that clients send are ignored, and every bucket is in the gateway's own.",
        off="--no-check-region",
        live="yes",
    )
    workers: Annotated[int, Field(ge=0, le=256)] = _setting(
        0, f"Worker processes. 0 is one for each core that is available, at most {_MAX_WORKERS}.", metavar="N"
    )
    domains: tuple[Domain, ...] = _setting(
        ("localhost",),
        "Domains whose sub-domains are buckets: virtual-host style, `bucket.DOMAIN`. Path style works on every host.",
        flag="--domain",
        metavar="D",
        live="yes",
    )
    path_prefix: PathPrefix = _setting(
        "",
        "A path before all buckets, as `/s3` for `http://host:port/s3/bucket/key`. Empty: none.",
        metavar="/PATH",
        live="yes",
    )
    tls_cert: FilePath | None = _setting(
        None, "Certificate chain as a PEM file. With `tls_key` the gateway speaks HTTPS.", metavar="FILE", live="yes"
    )
    tls_key: FilePath | None = _setting(
        None, "Private key of the certificate as a PEM file, not encrypted.", metavar="FILE", live="yes"
    )
    root_access_key: AccessKey | None = _setting(
        None, "Access key of the administrator (policy `admin`).", metavar="AK", live="yes"
    )
    root_secret_key: SecretKey | None = _setting(None, "Secret key of the administrator.", metavar="SK", live="yes")
    credentials: tuple[Pair, ...] = _setting(
        (), "Further credentials, each `ACCESS_KEY:SECRET_KEY` (policy `readwrite`).", flag="--credential",
        metavar="AK:SK",
        live="yes",
    )  # fmt: skip
    enable_distributed_auth: bool = _setting(
        False,
        "Keep the file of credentials in the data directory, for all gateways that serve it. No request reaches it.",
        off="--no-enable-distributed-auth",
    )
    credentials_path: FilePath = Field(
        "~/.s3gate/credentials.jsonl",
        description="The file of credentials, one JSON record a line. `s3gate credential` changes it. With "
        "`enable_distributed_auth` a path below `.s3gate` in the data directory, `credentials.jsonl` unless it is set.",
        json_schema_extra={"metavar": "FILE"},
        validate_default=True,
    )
    cache_refresh_interval_secs: Annotated[int, Field(ge=1, le=86400)] = _setting(
        30, "Seconds between two looks at the credentials file for changes. SIGHUP has it read at once.", metavar="S"
    )
    rate_limit: Annotated[int, Field(ge=0, le=1_000_000)] = _setting(
        0,
        "Requests a second that the gateway takes in all, with a burst of one second's worth; what comes beyond gets "
        "SlowDown, which clients try again. 0: no limit.",
        metavar="N",
        live="yes",
    )
    rate_limit_per_key: Annotated[int, Field(ge=0, le=1_000_000)] = _setting(
        0,
        "The same for each access key; requests without one are counted together.",
        metavar="N",
        live="yes",
    )
    trusted_proxies: tuple[Peer, ...] = _setting(
        (),
        "Proxies in front of the gateway that are believed who the client is (`X-Forwarded-For`, `X-Forwarded-Proto`), "
        "for logs and addresses in answers: addresses, networks as `10.0.0.0/8`, or `unix`, whoever connects to a "
        "socket file.",
        flag="--trusted-proxy",
        metavar="NET",
        live="yes",
    )
    no_auth: bool = _setting(
        False, "Let anybody do anything without credentials. For tests and closed networks.", off="--auth", live="yes"
    )
    read_only: bool = _setting(False, "Refuse every request that would change something.", off="--no-read-only")
    read_only_buckets: tuple[BucketPattern, ...] = _setting(
        (),
        "Buckets in which every request is refused that would change something, each a name, or a pattern of names in "
        "which `*` is any text and `?` a character. They are neither made nor removed by requests.",
        flag="--read-only-bucket",
        metavar="B",
        live="yes",
    )
    durability: Literal["full", "data", "none"] = _setting(
        "full",
        "What a write that was answered survives. `full`: a loss of power; file and directory are synced. "
        "`data`: the file is synced, its name may be lost. `none`: the kernel writes when it likes.",
    )
    create_buckets: tuple[str, ...] = _setting(
        (), "Buckets to make at start where they are missing.", flag="--create-bucket", metavar="B"
    )
    bucket_names: Literal["strict", "relaxed"] = _setting(
        "strict",
        "Names that new buckets may have: S3's rules, or 3 to 255 letters, digits, `.`, `_` and `-`.",
        live="yes",
    )
    metadata: Literal["auto", "xattr", "sidecar"] = _setting(
        "auto",
        "Where a new bucket keeps what a file cannot hold: extended attributes, or files beside the data. "
        "`auto` tries the first.",
    )
    locks: Literal["auto", "ofd", "posix", "flock", "none"] = _setting(
        "auto",
        "The locks by which processes keep one another out of a new data directory; all on one directory use the same. "
        "`auto` takes the first kind that works by trial. `none`: one worker of one gateway.",
    )
    symlinks: Literal["deny", "inside"] = _setting(
        "deny",
        "What a symbolic link in a bucket is. `deny`: nothing; it is not there for clients. `inside`: the file or the "
        "directory that it leads to, if it is relative and stays in its bucket.",
    )
    foreign_etags: Literal["synthetic", "md5"] = _setting(
        "synthetic",
        "The ETag of a file that another program has put or changed. `synthetic`: made from size, time and inode, with "
        "a dash. `md5`: the same at first, and the MD5 once the gateway has read the file, slowly and beside the "
        "requests, and stored it with the file.",
    )
    checksum_type: Literal["md5", "xxhash", "none"] = _setting(
        "md5",
        "What the ETag of a new object is made of. `md5`: as in S3; it bounds the speed of a large upload. `xxhash`: "
        "XXH3 of 128 bits, with a dash, so that no client takes it for an MD5. `none`: random, new with each write. "
        "The checksums that clients ask for, Content-MD5 and signed payloads are verified in any case.",
        live="yes",
    )
    join_answers: bool = _setting(
        True,
        "Write an answer that is all at hand to the connection in one piece, and those of requests that came at the "
        "same time together. Off: each by itself, in the HTTP server's own way, which looks at every header again.",
        off="--no-join-answers",
    )
    zero_copy: bool = _setting(
        True,
        "Have the kernel send large objects from the file to the socket. Not done over HTTPS. When off, they pass "
        "through the memory of the gateway in pieces.",
        off="--no-zero-copy",
    )
    cold_disks: bool = _setting(
        False,
        "Look for objects and read small ones in threads, for disks that have to be waited for: one slow answer holds "
        "up no other then. It takes 0.1 ms more of a processor for each. When off, that is done at once, in "
        "microseconds where directories and files are in memory. Large objects are read in threads in any case.",
        off="--no-cold-disks",
    )
    overlap_uploads: bool = _setting(
        True,
        "Receive, hash and store a large upload at the same time, which takes up to 5 MiB of memory for each. When "
        "off, one step follows the other.",
        off="--no-overlap-uploads",
    )
    put_memory_buffer_threshold: Annotated[int, Field(ge=64 << 10, le=1 << 30)] = _setting(
        1 << 20,
        "Bytes of an upload that are gathered in memory before they go to disk. What is smaller goes there once it is "
        "whole, unless its client pauses for a second.",
        metavar="BYTES",
        live="yes",
    )
    put_max_memory_buffer: Annotated[int, Field(ge=4 << 20, le=1 << 34)] = _setting(
        16 << 20,
        "Bytes of memory that one upload takes at most, of whatever size it is. It also bounds "
        "`put_memory_buffer_threshold`.",
        metavar="BYTES",
        live="yes",
    )
    put_temp_dir: FilePath | None = _setting(
        None,
        "A directory in which uploads are received, made when it is missing. What has come whole and intact moves to "
        "its bucket; from another filesystem it is copied. Not set: uploads are received beside the data.",
        metavar="DIR",
    )
    multipart_temp: FilePath | None = _setting(
        None,
        "The same for the parts of multipart uploads. Parts that have come whole lie with the bucket's data, where all "
        "gateways that serve it have them. Not set: `put_temp_dir`.",
        metavar="DIR",
    )
    get_chunk_size_mb: ChunkSize = _setting(
        1.0,
        "The pieces, in MiB, in which a large object is read and sent, with other requests in between: 0.5, 1 or 2.",
        metavar="MB",
    )
    upload_parts: Literal["auto", "in-place", "separate"] = _setting(
        "auto",
        "Where the parts of a multipart upload are written. `in-place`: at their offsets in one file, which becomes "
        "the object without a copy. `separate`: each to a file of its own; they are joined in the end. `auto`: in "
        "place on local filesystems whose files cannot share blocks (ext4), else separate, where joining copies "
        "nothing.",
    )
    janitor_interval_secs: Annotated[int, Field(ge=0, le=604800)] = _setting(
        3600,
        "Seconds between two rounds of the janitor, which clears away what killed processes left behind. 0: never.",
        metavar="S",
    )
    abort_uploads_after_days: Annotated[int, Field(ge=0, le=36500)] = _setting(
        0, "Days after which the janitor aborts a multipart upload that was begun and not completed. 0: never.",
        metavar="N",
    )  # fmt: skip
    grace_secs: Annotated[int, Field(ge=0, le=3600)] = _setting(
        30, "Seconds that requests under way have to finish when the gateway is stopped.", metavar="S", live="yes"
    )
    keep_alive_secs: Annotated[int, Field(ge=1, le=3600)] = _setting(
        75, "Seconds that an idle connection is kept open.", metavar="S", live="yes"
    )
    log_level: Levels = _setting(
        "info",
        "The least severe messages that are logged: error, warning, info, debug or trace. Levels of single modules may "
        "follow, separated by commas, as in `info,s3gate.auth=debug`.",
        metavar="LEVELS",
        repeat="yes",
        live="yes",
    )
    metrics: Literal["off", "loopback", "on"] = _setting(
        "loopback",
        "Who may read `/metrics`, without credentials. `loopback`: programs of this machine, where no proxy stands "
        "between. `on`: everybody who reaches the gateway. `off`: nobody, and nothing is counted.",
    )
    metrics_scan_interval_secs: Annotated[int, Field(ge=0, le=604800)] = _setting(
        3600,
        "Seconds between two looks through all buckets for how much they hold, which `/metrics` shows. 0: never.",
        metavar="S",
    )
    metrics_buckets: Annotated[int, Field(ge=0, le=10000)] = _setting(
        100,
        "How many buckets, the largest ones, `/metrics` shows each by itself. The others are added up.",
        metavar="N",
    )
    access_log: FilePath | None = _setting(
        None,
        "A file to which a line is appended for each request, opened anew on SIGHUP; `-` is the standard output. Not "
        "set: none.",
        metavar="FILE",
    )
    access_log_format: Literal["json", "aws"] = _setting(
        "json", "The form of its lines: JSON objects, or that of AWS's server access logs."
    )
    audit_log: FilePath | None = _setting(
        None, "The same for requests that were denied: who, what, from where and why, as JSON objects.", metavar="FILE"
    )
    traces: Endpoint | None = _setting(
        None,
        "The OTLP endpoint (HTTP) to which a span is sent for each request. Needs `pip install 's3gate[otel]'`. Not "
        "set: none.",
        metavar="URL",
    )
    run_dir: FilePath = Field(
        "~/.s3gate/run",
        description="Where `s3gate start` keeps note of the gateways it starts, a file for each address, with the log "
        "file of each.",
        json_schema_extra={"metavar": "DIR"},
        validate_default=True,
    )
    log_file: FilePath | None = _setting(
        None,
        "A file to which messages are appended instead of stderr, opened anew on SIGHUP. Not set: stderr, or with "
        "`s3gate start` a file in `run_dir`.",
        metavar="FILE",
    )

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        """The rules that tie several settings together."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both, or neither")
        if (self.root_access_key is None) != (self.root_secret_key is None):
            raise ValueError("root_access_key and root_secret_key belong together: set both, or neither")
        if self.upload_parts == "in-place" and (self.multipart_temp or self.put_temp_dir):
            raise ValueError(
                "upload_parts: parts that are received elsewhere are not written in their places: unset it"
            )
        if self.enable_distributed_auth and ".." in self.credentials_path.split("/"):
            raise ValueError(
                "credentials_path: with enable_distributed_auth it is a path below .s3gate: leave '..' out"
            )
        for name in self.create_buckets:
            fault = bucket_name_fault(name, relaxed=self.bucket_names == "relaxed")
            if fault is not None:
                raise ValueError(f"create_buckets: {name!r} cannot be a bucket: {fault}")
        known = {credential.access_key: credential for credential in self.fixed_credentials}
        for pair in self.credentials:
            other = Credential(*split_pair(pair.get_secret_value()))
            credential = known[other.access_key]
            if credential.secret_key != other.secret_key:
                shown = min(credential.shown_key, other.shown_key, key=len)  # one of the two may be a token
                raise ValueError(f"credentials: access key {shown} is given with two secret keys")
        return self

    @property
    def addresses(self) -> tuple[Address | UnixAddress, ...]:
        """`listen`, taken apart."""
        return parse_listen(self.listen)

    @property
    def credentials_file(self) -> str:
        """Where the file of credentials is."""
        if not self.enable_distributed_auth:
            return self.credentials_path
        below = self.credentials_path if "credentials_path" in self.model_fields_set else "credentials.jsonl"
        return os.path.join(self.data_dir, RESERVED, os.path.normpath(below).lstrip("/"))

    @property
    def chunk_bytes(self) -> int:
        """`get_chunk_size_mb` in bytes."""
        return int(self.get_chunk_size_mb * (1 << 20))

    @property
    def batch_bytes(self) -> int:
        """How much of an upload is gathered in memory."""
        return batch_size(self.put_memory_buffer_threshold, self.put_max_memory_buffer)

    @property
    def batches_ahead(self) -> int:
        """How many such batches may be on their way into the store while the next one is gathered."""
        return batches_ahead(self.batch_bytes, self.put_max_memory_buffer)

    @property
    def worker_count(self) -> int:
        """How many worker processes there are to be."""
        return self.workers or min(len(os.sched_getaffinity(0)), _MAX_WORKERS)

    @property
    def fixed_credentials(self) -> tuple[Credential, ...]:
        """The credentials that the settings themselves give: the administrator's first, each access key once."""
        found: dict[str, Credential] = {}
        if self.root_access_key is not None and self.root_secret_key is not None:
            secret = self.root_secret_key.get_secret_value()
            found[self.root_access_key] = Credential(
                self.root_access_key, secret, description="administrator", policy="admin"
            )
        for pair in self.credentials:
            access_key, secret_key = split_pair(pair.get_secret_value())
            found.setdefault(access_key, Credential(access_key, secret_key, description="from the configuration"))
        return tuple(found.values())
