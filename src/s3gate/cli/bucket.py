"""`s3gate bucket`: create, list, show, change, measure and remove buckets, beside running gateways or without one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

from s3gate.bootstrap import open_storage
from s3gate.cli.errors import CommandError
from s3gate.cli.flags import add_conf_flag, given_settings
from s3gate.cli.log import configure_logging
from s3gate.cli.properties import PROPERTIES, parse_assignments
from s3gate.cli.run_as import as_owner_of
from s3gate.cli.table import print_table
from s3gate.config import Settings
from s3gate.core.bucket_properties import QUOTA
from s3gate.core.clock import iso_date
from s3gate.core.errors import S3Error
from s3gate.core.names import bucket_name_fault
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT
from s3gate.storage.backend import Backend
from s3gate.storage.contents import Contents, measure

__all__ = ["add_parser"]

_T = TypeVar("_T")
_Work = Callable[[Backend], Awaitable[_T]]
# Seconds for writes that have found the bucket without its quota: they are not counted by the gateway that makes them.
_UNDER_WAY = 0.5
_SCHEMES = ("s3://", "ais://")


def add_parser(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of `s3gate`."""
    parser = nouns.add_parser(
        "bucket",
        help="manage buckets and their properties",
        description="Manages the buckets of a data directory. Works on the directory itself: no gateway need run, and "
        "those that run take every change over with their next request.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_verb(verbs, "ls", "list the buckets", _list, json_too=True)
    create = _add_verb(verbs, "create", "make a bucket", _create)
    _add_bucket(create)
    create.add_argument(
        "--props",
        "--bucket-props",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a property of the new bucket (may be repeated)",
    )
    _add_bucket(_add_verb(verbs, "show", "show a bucket and its properties", _show, json_too=True))
    props = _add_verb(verbs, "props", "change properties of a bucket", _props)
    props.epilog = "Properties: " + "; ".join(f"{name}: {each.meaning}" for name, each in PROPERTIES.items())
    _add_bucket(props)
    props.add_argument("assignments", nargs="+", metavar="NAME=VALUE")
    _add_bucket(_add_verb(verbs, "rm", "remove an empty bucket", _remove))
    usage = _add_verb(verbs, "du", "count what buckets hold", _usage, json_too=True)
    usage.add_argument(
        "--recount", action="store_true", help="count what the quotas go by as well, as the janitor does now and then"
    )
    usage.add_argument("buckets", nargs="*", metavar="BUCKET", help="all buckets if none is named")


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    action: Callable[[argparse.Namespace], int],
    *,
    json_too: bool = False,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False)
    add_conf_flag(parser)
    parser.add_argument(
        "--data-dir",
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="the data directory (default: as the configuration says, else ./data)",
    )
    if json_too:
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.set_defaults(run=action)
    return parser


def _add_bucket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bucket", metavar="BUCKET", help="name, with or without s3:// before it")


def _name(text: str) -> str:
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    return text.rstrip("/")


def _with_storage(arguments: argparse.Namespace, work: _Work[_T], *, writes: bool = False) -> _T:
    """What `work` gives on the store of the data directory; CommandError for what S3 would answer with an error."""
    settings = given_settings(arguments)
    configure_logging("error")
    if not os.path.isdir(settings.data_dir):
        raise CommandError(f"There is no directory {settings.data_dir}: name the data directory with --data-dir.")
    if writes and settings.read_only:
        raise CommandError("The configuration says read_only: nothing is changed.")

    async def run(chosen: Settings) -> _T:
        storage = open_storage(chosen)
        await storage.start()
        try:
            return await work(storage)
        finally:
            await storage.stop()

    chosen = settings if writes else settings.model_copy(update={"read_only": True})
    with as_owner_of(settings.data_dir):
        try:
            return asyncio.run(run(chosen))
        except S3Error as error:
            raise CommandError(_told(error)) from None


def _told(error: S3Error) -> str:
    name = error.fields.get("BucketName", "")
    return f"{name}: {error.message}" if name else error.message


def _list(arguments: argparse.Namespace) -> int:
    buckets = _with_storage(arguments, lambda storage: storage.list_buckets())
    if arguments.json:
        for bucket in buckets:
            print(json.dumps(_fields(bucket)))
    else:
        print_table(("CREATED", "BUCKET"), [(iso_date(bucket.created_ns), bucket.name) for bucket in buckets])
    return 0


def _fields(bucket: Bucket) -> dict[str, str]:
    about = {
        "bucket": bucket.name,
        "created": iso_date(bucket.created_ns),
        "owner": bucket.owner.display_name,
        "region": bucket.region,
    }
    return about | {name: each.show(bucket.documents) for name, each in PROPERTIES.items()}


def _changes(bucket: Bucket, wanted: dict[str, str]) -> dict[str, bytes | None]:
    """The documents of a bucket that change, by kind; None for one that goes."""
    changed: dict[str, bytes | None] = {}
    for name, value in wanted.items():
        each = PROPERTIES[name]
        now = {kind: document for kind, document in ({**bucket.documents, **changed}).items() if document is not None}
        try:
            changed[each.kind] = each.document(now, value)
        except ValueError as error:
            raise CommandError(f"{name}={value}: {error}.") from None
    return changed


async def _change(storage: Backend, bucket: Bucket, wanted: dict[str, str]) -> Bucket:
    """Give a bucket other properties; gives it as it is then."""
    for kind, document in _changes(bucket, wanted).items():
        if document is not None:
            await storage.put_document(bucket, kind, document)
        else:
            await storage.delete_document(bucket, kind)
    changed = await storage.find_bucket(bucket.name)
    if QUOTA in (bucket.documents.keys() ^ changed.documents.keys()):
        await asyncio.sleep(_UNDER_WAY)
        await storage.recount(changed)
    return changed


def _create(arguments: argparse.Namespace) -> int:
    name, wanted = _name(arguments.bucket), parse_assignments(arguments.props)
    settings = given_settings(arguments)
    fault = bucket_name_fault(name, relaxed=settings.bucket_names == "relaxed")
    if fault is not None:
        raise CommandError(f"{name!r} cannot be a bucket: {fault}.")
    _changes(Bucket(name, ROOT, settings.region, 0), wanted)  # what is wrong with them is told before there is a bucket

    async def work(storage: Backend) -> None:
        await _change(storage, await storage.create_bucket(name, ROOT, settings.region), wanted)

    _with_storage(arguments, work, writes=True)
    print(f'"{name}" bucket created')
    return 0


def _show(arguments: argparse.Namespace) -> int:
    async def work(storage: Backend) -> Bucket:
        return await storage.find_bucket(_name(arguments.bucket))

    shown = _fields(_with_storage(arguments, work))
    if arguments.json:
        print(json.dumps(shown))
    else:
        for name, value in shown.items():
            print(f"{name:16} {value}")
    return 0


def _props(arguments: argparse.Namespace) -> int:
    wanted = parse_assignments(arguments.assignments)

    async def work(storage: Backend) -> tuple[Bucket, Bucket]:
        before = await storage.find_bucket(_name(arguments.bucket))
        return before, await _change(storage, before, wanted)

    before, after = _with_storage(arguments, work, writes=True)
    print("Bucket props successfully updated")
    for name in wanted:
        show = PROPERTIES[name].show
        print(f'"{name}" set to:"{show(after.documents)}" (was:"{show(before.documents)}")')
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    name = _name(arguments.bucket)

    async def work(storage: Backend) -> None:
        await storage.delete_bucket(await storage.find_bucket(name))

    _with_storage(arguments, work, writes=True)
    print(f'"{name}" bucket removed')
    return 0


_COLUMNS = ("OBJECTS", "BYTES", "OLDER VERSIONS", "BYTES", "DELETE MARKERS", "UPLOADS", "BYTES")


def _usage(arguments: argparse.Namespace) -> int:
    async def work(storage: Backend) -> list[tuple[str, Contents]]:
        if arguments.buckets:
            found = [await storage.find_bucket(_name(text)) for text in arguments.buckets]
        else:
            found = await storage.list_buckets()
        if arguments.recount:
            for bucket in found:
                await storage.recount(bucket)
        return [(bucket.name, await measure(storage, bucket)) for bucket in found]

    counted = _with_storage(arguments, work, writes=arguments.recount)
    if arguments.json:
        for name, contents in counted:
            print(json.dumps({"bucket": name, **asdict(contents)}))
    else:
        rows = [(name, *(f"{number:,}" for number in asdict(contents).values())) for name, contents in counted]
        print_table(("BUCKET", *_COLUMNS), rows, right=_COLUMNS)
    return 0
