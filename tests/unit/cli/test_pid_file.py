from __future__ import annotations

import os

from s3gate.cli.pid_file import PidFile


def test_one_that_lets_go_late_leaves_the_file_of_the_next_gateway(tmp_path):
    first = PidFile(str(tmp_path), "127.0.0.1:9900")
    assert first.claim()
    os.unlink(first.path)  # as another process does that has the lock as well, and lets go first
    second = PidFile(str(tmp_path), "127.0.0.1:9900")
    assert second.claim()
    first.release()
    assert os.path.exists(second.path)
    assert second.is_held
    second.release()
    assert not os.path.exists(second.path)


def test_every_address_has_a_file_of_its_own(tmp_path):
    addresses = [
        "127.0.0.1:9900", "localhost:9900", "[::1]:9900", "[1::]:9900", "127.0.0.1:9900,127.0.0.1:9901",
        "unix:/run/a/b", "unix:/run/a_b", "unix:/run/a/b,127.0.0.1:1", "unix:/run/%s" % ("x" * 210),
        "unix:/run/%sy" % ("x" * 210),
    ]  # fmt: skip
    paths = {PidFile(str(tmp_path), listen).path for listen in addresses}
    assert len(paths) == len(addresses)
    assert str(tmp_path / "127.0.0.1_9900.pid") in paths
    assert max(len(os.path.basename(path)) for path in paths) < 230
