"""What an s3fs user does, in two steps: `store BUCKET TREE BACK` and `remove BUCKET`.

Endpoint and credentials come from the environment.
"""

import json
import sys

import s3fs
from botocore.exceptions import ClientError


def store(bucket: str, tree: str, back: str) -> None:
    fs = s3fs.S3FileSystem()
    fs.mkdir(bucket)
    with fs.open(f"{bucket}/large.bin", "wb", block_size=5 * 2**20) as sink, open("large.bin", "rb") as source:
        while piece := source.read(1_000_000):
            sink.write(piece)
    fs.put(tree, f"{bucket}/tree", recursive=True)
    fs.get(f"{bucket}/tree", back, recursive=True)
    fs.copy(f"{bucket}/large.bin", f"{bucket}/copies/large.bin")
    fs.mv(f"{bucket}/tree/one-byte", f"{bucket}/moved")
    with fs.open(f"{bucket}/large.bin", "rb") as source:
        source.seek(7_000_000)
        middle = source.read(1000)
    fs.setxattr(f"{bucket}/moved", colour="blue")
    try:
        fs.pipe_file(f"{bucket}/moved", b"again", mode="create")
        refused = False
    except FileExistsError:
        refused = True
    except ClientError as error:
        refused = error.response["Error"]["Code"] == "PreconditionFailed"
    print(
        json.dumps(
            {
                "found": sorted(fs.find(bucket)),
                "listed": sorted(fs.ls(bucket, refresh=True, detail=False)),
                "size": fs.info(f"{bucket}/copies/large.bin")["size"],
                "middle": middle.hex(),
                "tail": fs.cat_file(f"{bucket}/large.bin", start=-1000).hex(),
                "colour": fs.getxattr(f"{bucket}/moved", "colour"),
                "globbed": sorted(fs.glob(f"{bucket}/tree/docs/*.txt")),
                "refused": refused,
            }
        )
    )


def remove(bucket: str) -> None:
    fs = s3fs.S3FileSystem()
    fs.rm(bucket, recursive=True)
    fs.invalidate_cache()
    print(json.dumps({"exists": fs.exists(bucket)}))


{"store": store, "remove": remove}[sys.argv[1]](*sys.argv[2:])
