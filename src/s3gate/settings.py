"""Every setting of the gateway: its name, type, default and meaning, and the rules that a value obeys."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from s3gate.core.names import bucket_name_fault
from s3gate.identity.keys import access_key_fault, secret_key_fault, split_pair
from s3gate.identity.model import Credential

__all__ = ["Address", "Settings", "flags_of", "parse_address"]

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_MAX_WORKERS = 8


class Address(NamedTuple):
    """Where to listen: a host name or IP address without brackets, and a port (0: any that is free)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `:port` (all addresses of this machine), else ValueError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    valid_host = (":" in host) == bracketed and not set(host) & set("[]/@ ")
    if not (colon and valid_host and port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise ValueError("an address is HOST:PORT, [IPV6]:PORT or :PORT, as in 127.0.0.1:9900")
    return Address(host or "0.0.0.0", int(port))  # noqa: S104  # a gateway is there to be reached


def _listen(text: str) -> str:
    return str(parse_address(text))


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a path has at least one character, and no NUL")
    return os.path.expanduser(text)


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("a region has 1 to 64 letters, digits, '-' or '_'")
    return text


def _prefix(text: str) -> str:
    text = text.rstrip("/")
    if not _PREFIX.fullmatch(text):
        raise ValueError("a path prefix begins with '/' and has letters, digits, '.', '_', '~' or '-', as in /s3")
    return text


def _domain(text: str) -> str:
    text = text.lower()
    if not _DOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a domain name; give it without '*.', port or scheme, as in s3.example.com")
    return text


def _pair(secret: SecretStr) -> SecretStr:
    split_pair(secret.get_secret_value())
    return secret


def _access_key(text: str) -> str:
    fault = access_key_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _secret_key(secret: SecretStr) -> SecretStr:
    fault = secret_key_fault(secret.get_secret_value())
    if fault is not None:
        raise ValueError(fault)
    return secret


def _setting(default: Any, description: str, **hints: str) -> Any:
    """A field of Settings. Hints: `flag` (of the command line), `off` (the flag for false), `metavar`."""
    return Field(default, description=description, json_schema_extra=dict(hints))


FilePath = Annotated[str, AfterValidator(_path)]
Domain = Annotated[str, AfterValidator(_domain)]
Pair = Annotated[SecretStr, AfterValidator(_pair)]


class Settings(BaseModel):
    """All settings, checked. Secrets are masked in every printed form."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data_dir: FilePath = _setting(
        "./data",
        "The directory that is served: each directory in it is a bucket. Made when it is missing.",
        flag="DIR",
    )
    listen: Annotated[str, AfterValidator(_listen)] = _setting(
        "0.0.0.0:9900",
        "Where to listen: `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. Port 0 takes any free port.",
        metavar="HOST:PORT",
    )
    region: Annotated[str, AfterValidator(_region)] = _setting(
        "us-east-1", "The region that requests are signed for and that buckets are in."
    )
    workers: Annotated[int, Field(ge=0, le=256)] = _setting(
        0, f"Worker processes. 0 is one for each core that is available, at most {_MAX_WORKERS}.", metavar="N"
    )
    domains: tuple[Domain, ...] = _setting(
        ("localhost",),
        "Domains whose sub-domains are buckets: virtual-host style, `bucket.DOMAIN`. Path style works on every host.",
        flag="--domain",
        metavar="D",
    )
    path_prefix: Annotated[str, AfterValidator(_prefix)] = _setting(
        "", "A path before all buckets, as `/s3` for `http://host:port/s3/bucket/key`. Empty: none.", metavar="/PATH"
    )
    tls_cert: FilePath | None = _setting(
        None, "Certificate chain as a PEM file. With `tls_key` the gateway speaks HTTPS.", metavar="FILE"
    )
    tls_key: FilePath | None = _setting(
        None, "Private key of the certificate as a PEM file, not encrypted.", metavar="FILE"
    )
    root_access_key: Annotated[str, AfterValidator(_access_key)] | None = _setting(
        None, "Access key of the administrator (policy `admin`).", metavar="AK"
    )
    root_secret_key: Annotated[SecretStr, AfterValidator(_secret_key)] | None = _setting(
        None, "Secret key of the administrator.", metavar="SK"
    )
    credentials: tuple[Pair, ...] = _setting(
        (), "Further credentials, each `ACCESS_KEY:SECRET_KEY` (policy `readwrite`).", flag="--credential",
        metavar="AK:SK",
    )  # fmt: skip
    credentials_path: FilePath = Field(
        "~/.s3gate/credentials.jsonl",
        description="The file of credentials, one JSON record a line. `s3gate credential` changes it.",
        json_schema_extra={"metavar": "FILE"},
        validate_default=True,
    )
    cache_refresh_interval_secs: Annotated[int, Field(ge=1, le=86400)] = _setting(
        30, "Seconds between two looks at the credentials file for changes. SIGHUP has it read at once.", metavar="S"
    )
    no_auth: bool = _setting(
        False, "Let anybody do anything without credentials. For tests and closed networks.", off="--auth"
    )
    read_only: bool = _setting(False, "Refuse every request that would change something.", off="--no-read-only")
    durability: Literal["full", "data", "none"] = _setting(
        "full",
        "What a write that was answered survives. `full`: a loss of power; file and directory are synced. "
        "`data`: the file is synced, its name may be lost. `none`: the kernel writes when it likes.",
    )
    create_buckets: tuple[str, ...] = _setting(
        (), "Buckets to make at start where they are missing.", flag="--create-bucket", metavar="B"
    )
    bucket_names: Literal["strict", "relaxed"] = _setting(
        "strict", "Names that new buckets may have: S3's rules, or 3 to 255 letters, digits, `.`, `_` and `-`."
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
    )
    join_answers: bool = _setting(
        True,
        "Write an answer that is all at hand to the connection in one piece. Off: in the HTTP server's own way, which "
        "looks at every header again.",
        off="--no-join-answers",
    )
    zero_copy: bool = _setting(
        True,
        "Have the kernel send large objects from the file to the socket. Not done over HTTPS. When off, they pass "
        "through the memory of the gateway in pieces.",
        off="--no-zero-copy",
    )
    overlap_uploads: bool = _setting(
        True,
        "Receive, hash and store a large upload at the same time, which takes up to 5 MiB of memory for each. When "
        "off, one step follows the other.",
        off="--no-overlap-uploads",
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
        30, "Seconds that requests under way have to finish when the gateway is stopped.", metavar="S"
    )
    keep_alive_secs: Annotated[int, Field(ge=1, le=3600)] = _setting(
        75, "Seconds that an idle connection is kept open.", metavar="S"
    )
    log_level: Literal["error", "warning", "info", "debug", "trace"] = _setting(
        "info", "The least severe messages that are logged, on stderr."
    )

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        """The rules that tie several settings together."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: set both, or neither")
        if (self.root_access_key is None) != (self.root_secret_key is None):
            raise ValueError("root_access_key and root_secret_key belong together: set both, or neither")
        for name in self.create_buckets:
            fault = bucket_name_fault(name, relaxed=self.bucket_names == "relaxed")
            if fault is not None:
                raise ValueError(f"create_buckets: {name!r} cannot be a bucket: {fault}")
        keys = [credential.access_key for credential in self.fixed_credentials]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"credentials: access key {twice[0]} is given twice")
        return self

    @property
    def address(self) -> Address:
        """`listen`, taken apart."""
        return parse_address(self.listen)

    @property
    def worker_count(self) -> int:
        """How many worker processes there are to be."""
        return self.workers or min(len(os.sched_getaffinity(0)), _MAX_WORKERS)

    @property
    def fixed_credentials(self) -> tuple[Credential, ...]:
        """The credentials that the settings themselves give: the administrator's first."""
        found = []
        if self.root_access_key is not None and self.root_secret_key is not None:
            secret = self.root_secret_key.get_secret_value()
            found.append(Credential(self.root_access_key, secret, description="administrator", policy="admin"))
        for pair in self.credentials:
            access_key, secret_key = split_pair(pair.get_secret_value())
            found.append(Credential(access_key, secret_key, description="from the configuration"))
        return tuple(found)


def flags_of(name: str) -> tuple[str, str]:
    """The command-line flags of a setting: the one that gives it, and for a boolean the one that says false or ""."""
    hints = Settings.model_fields[name].json_schema_extra
    texts = {key: str(value) for key, value in hints.items()} if isinstance(hints, dict) else {}
    return texts.get("flag", f"--{name.replace('_', '-')}"), texts.get("off", "")
