"""What TensorBoard does on a directory of logs in S3: `python tensorboard_job.py s3://BUCKET`."""

from __future__ import annotations

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.summary.writer.record_writer import RecordWriter


class _File:
    """A file as RecordWriter wants it, over gfile."""

    def __init__(self, name: str) -> None:
        self._file = gfile.GFile(name, "wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def main(bucket: str) -> None:
    """Write a log, list it, and read it back."""
    logs = f"{bucket}/logs/run"
    writer = RecordWriter(_File(f"{logs}/events.out.tfevents.1.host"))
    for step in range(100):
        value = Summary.Value(tag="loss", simple_value=1 / (1 + step))
        writer.write(Event(wall_time=step, step=step, summary=Summary(value=[value])).SerializeToString())
    writer.close()
    print("there:", gfile.exists(logs), gfile.isdir(logs), gfile.listdir(logs))
    print("found:", gfile.glob(f"{logs}/events*"))
    events = EventAccumulator(f"{logs}/events.out.tfevents.1.host").Reload().Scalars("loss")
    print("read:", len(events), round(events[-1].value, 2))


if __name__ == "__main__":
    main(sys.argv[1])
