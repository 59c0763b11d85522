"""`s3gate run`: a command with a gateway of its own, its inputs and its output."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.files import TREE, make_tree, read_tree
from support.ordinary_user import as_ordinary_user
from support.processes import is_gone, wait_for, workers
from support.snapshot import unchanged

pytestmark = pytest.mark.xdist_group("run")

# What commands begin with: ask(METHOD, TARGET, BODY, HEADER=VALUE) sends a request as it is and gives status and body.
PRELUDE = """
import http.client, os, signal, sys, time
from urllib.parse import urlsplit
address = urlsplit(os.environ["S3_ENDPOINT"]).netloc
def ask(method, target, body=None, **headers):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content
def code(answer):
    return answer[0], answer[1].partition("<Code>")[2].partition("</Code>")[0]
"""


def python(text: str) -> list[str]:
    """A command that runs these lines of Python."""
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(text)]


def command_line(arguments: Sequence[str | Path], command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "s3gate", "run", "--workers", "1", *map(str, arguments), "--", *command]


def run(
    *arguments: str | Path, command: Sequence[str], environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end; nothing of what runs is left."""
    return subprocess.run(
        command_line(arguments, command),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def begin(*arguments: str | Path, command: Sequence[str]) -> subprocess.Popen[str]:
    """Start it, and come back when the command has written a line, which is left out of its output."""
    process = subprocess.Popen(
        command_line(arguments, command),
        stdin=subprocess.PIPE,  # open, so that a command may wait for its end
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n", process.communicate()
    return process


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "input")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Where the output is to appear; nothing is ever left beside it."""
    place = tmp_path / "place"
    place.mkdir()
    yield place / "result"
    assert {*os.listdir(place)} <= {"result"}


def test_a_command_reads_its_inputs_and_writes_its_output(tree: Path, tmp_path: Path, out: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/one").write_bytes(b"1")
    with unchanged(tree):
        done = run(
            "--input", f"first={tree}", "--input", f"Second_2.x={tmp_path / 'other'}:ro", "--out", out,
            command=python("""
                status, listing = ask("GET", "/")
                names = [part.partition("<")[0] for part in listing.split("<Name>")[1:]]
                assert names == ["Second_2.x", "first", "out"], listing
                assert ask("GET", "/Second_2.x/one") == (200, "1")
                assert ask("GET", "/first/one-byte")[0] == 200
                assert "<KeyCount>0</KeyCount>" in ask("GET", "/out?list-type=2")[1]
                assert ask("PUT", "/out/dir/object", "content", x_amz_meta_colour="green")[0] == 200
                assert ask("PUT", "/out/copy", x_amz_copy_source="first/docs/read%20me.txt")[0] == 200
            """),
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {name: hashlib.md5(data).digest() for name, data in read_tree(out).items()} == {
        "dir/object": hashlib.md5(b"content").digest(),
        "copy": hashlib.md5((tree / "docs/read me.txt").read_bytes()).digest(),
    }
    # The next command has it as its input, with all that the objects have.
    again = run("--input", f"result={out}", command=python("""
        connection = http.client.HTTPConnection(address)
        connection.request("HEAD", "/result/dir/object")
        assert connection.getresponse().headers["x-amz-meta-colour"] == "green"
    """))  # fmt: skip
    assert (again.returncode, again.stderr) == (0, "")


DENIED = [
    ("PUT", "/input/new"),
    ("PUT", "/input/one-byte"),
    ("DELETE", "/input/one-byte"),
    ("POST", "/input/new?uploads"),
    ("PUT", "/input?versioning"),
    ("PUT", "/input?tagging"),
    ("PUT", "/input/one-byte?tagging"),
    ("PUT", "/input"),
    ("DELETE", "/input"),
    ("PUT", "/another"),
    ("DELETE", "/out"),
]


def test_writes_to_an_input_and_buckets_that_come_and_go_are_denied(tree: Path, out: Path):
    script = f"""
        for method, target in {DENIED!r}:
            answer = ask(method, target, "body")
            assert code(answer) == (403, "AccessDenied"), (method, target, answer)
    """
    with unchanged(tree):
        done = run("--input", f"input={tree}", "--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (0, "")


def test_many_objects_of_an_input_are_not_deleted_at_once(tree: Path):
    script = """
        document = "<Delete><Object><Key>one-byte</Key></Object></Delete>"
        answer = ask("POST", "/input?delete", document)
        assert "AccessDenied" in answer[1] and "<Deleted>" not in answer[1], answer
    """
    with unchanged(tree):
        done = run("--input", f"input={tree}", command=python(script))
    assert (done.returncode, done.stderr) == (0, "")


def test_without_an_output_there_is_nothing_to_write_to(tree: Path):
    script = """
        assert code(ask("PUT", "/out/key", "body")) == (404, "NoSuchBucket")
        assert code(ask("PUT", "/out")) == (403, "AccessDenied")
    """
    assert run("--input", f"input={tree}", command=python(script)).returncode == 0
    assert run(command=python('assert ask("GET", "/")[0] == 200')).returncode == 0


SIGNED = {
    "version 4": {
        "authorization": "AWS4-HMAC-SHA256 Credential=anything/20200101/nowhere/s3/aws4_request, "
        f"SignedHeaders=host, Signature={'0' * 64}",
    },
    "version 2": {"authorization": "AWS anything:wrong"},
    "a session": {
        "authorization": "AWS4-HMAC-SHA256 Credential=x/20200101/nowhere/s3/aws4_request, SignedHeaders=host, "
        f"Signature={'0' * 64}",
        "x_amz_security_token": "token",
    },
    "none": {},
}


def test_any_credentials_are_taken_and_none(out: Path):
    script = f"""
        for headers in {list(SIGNED.values())!r}:
            assert ask("PUT", "/out/key", "body", **headers)[0] == 200
            assert ask("GET", "/out/key", **headers) == (200, "body")
        assert ask("GET", "/out/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=0")[0] == 200
        assert ask("GET", "/out/key?AWSAccessKeyId=a&Expires=1&Signature=0")[0] == 200
    """
    done = run("--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_body_in_chunks_that_somebody_has_signed_is_taken(out: Path):
    """MinIO's clients and Java's sign each chunk, with a secret key that nobody knows here."""
    script = """
        signature = ";chunk-signature=" + "a" * 64
        body = f"4{signature}\\r\\nbody\\r\\n0{signature}\\r\\n\\r\\n"
        kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        answer = ask("PUT", "/out/key", body, x_amz_content_sha256=kind, x_amz_decoded_content_length="4")
        assert answer[0] == 200, answer
        def put_with_trailer(key, checksum):
            lines = f"4{signature}\\r\\nmore\\r\\n0{signature}\\r\\nx-amz-checksum-crc32:{checksum}\\r\\n"
            body = f"{lines}x-amz-trailer-signature:{'b' * 64}\\r\\n\\r\\n"
            return ask("PUT", key, body, x_amz_content_sha256=kind + "-TRAILER", x_amz_decoded_content_length="4",
                       x_amz_trailer="x-amz-checksum-crc32")
        import base64, zlib
        checksum = base64.b64encode(zlib.crc32(b"more").to_bytes(4, "big")).decode()
        assert put_with_trailer("/out/trailer", checksum)[0] == 200
        assert code(put_with_trailer("/out/wrong", "AAAAAA==")) == (400, "BadDigest")
    """
    done = run("--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert read_tree(out) == {"key": b"body", "trailer": b"more"}


def test_a_payload_is_what_its_hash_says(out: Path):
    script = """
        answer = ask("PUT", "/out/key", "body", x_amz_content_sha256="0" * 64)
        assert code(answer) == (400, "XAmzContentSHA256Mismatch"), answer
    """
    assert run("--out", out, command=python(script)).returncode == 0


def test_another_user_of_the_machine_is_refused(tmp_path: Path):
    """An ordinary user is refused by the gateway of root; where the tests run as one, it is the gateway's own user."""
    process = begin("--env-file", tmp_path / "env", command=python("print('begun', flush=True); sys.stdin.read()"))
    try:
        environ = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        host, _, port = environ["S3_ENDPOINT"].removeprefix("http://").partition(":")

        def ask() -> tuple[int, bytes]:
            with socket.socket() as client:
                client.connect((host, int(port)))
                client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := client.recv(65536):
                    answer += piece
                return os.geteuid(), answer

        found = as_ordinary_user(ask)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert found is not None
    user, answer = found
    if user == os.geteuid():
        assert answer.startswith(b"HTTP/1.1 200 ")
    else:
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert f"a connection of user {user} is refused" in errors


@pytest.mark.parametrize("ending", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "raise SystemExit(255)"])
def test_of_a_command_that_fails_nothing_appears(out: Path, ending: str):
    status = {"sys.exit(3)": 3, "raise SystemExit(255)": 255}.get(ending, 128 + signal.SIGKILL)
    script = f"""
        assert ask("PUT", "/out/key", "body")[0] == 200
        {ending}
    """
    done = run("--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (status, "")
    assert not out.exists()


def test_uploads_that_were_not_completed_are_no_output(out: Path):
    script = """
        status, answer = ask("POST", "/out/key?uploads")
        upload = answer.partition("<UploadId>")[2].partition("<")[0]
        assert ask("PUT", f"/out/key?partNumber=1&uploadId={upload}", "x" * 100_000)[0] == 200
    """
    done = run("--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert read_tree(out) == {}
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {"bucket.json", "keys"}


def test_input_and_output_of_the_command_pass_through():
    done = subprocess.run(
        command_line([], ["sh", "-c", "cat; echo to-stderr >&2"]),
        input="fed",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("fed", "to-stderr\n")


def test_arguments_of_the_command_are_its_own():
    shown = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
    arguments = ["--out", "x", "--", "-h", "a b", ""]
    assert json.loads(run(command=[*shown, *arguments]).stdout) == arguments


@pytest.mark.parametrize(("command", "status", "words"), [
    (["no-such-program"], 127, "No such file"),
    (["/etc/passwd"], 126, "Permission denied"),
    ([], 125, "no command"),
])  # fmt: skip
def test_a_command_that_cannot_be_run_is_told(out: Path, command: list[str], status: int, words: str):
    done = run("--out", out, command=command)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_for_the_environment_that_cannot_be_written_is_told_before_the_command_runs(tmp_path: Path):
    done = run("--env-file", tmp_path / "none/none", command=["touch", str(tmp_path / "ran")])
    assert done.returncode == 125
    assert done.stderr.startswith("s3gate: ")
    assert "No such file" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_file_for_the_environment_is_named_when_the_disk_is_full():
    done = run("--env-file", "/dev/full", command=["true"])
    assert (done.returncode, done.stderr) == (
        125,
        "s3gate: Cannot write the variables to /dev/full: No space left on device.\n",
    )


def test_the_environment_is_also_written_to_a_file_and_nothing_of_other_accounts_is_left(tmp_path: Path):
    strange = {
        "AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_S3": "http://elsewhere", "S3GATE_DATA_DIR": "/nonexistent", "S3GATE_WORKERS": "none",
    }  # fmt: skip
    shown = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    done = run("--env-file", tmp_path / "env", "--region", "eu-west-1", command=shown, environ=strange)
    environ = json.loads(done.stdout)
    written = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name: environ[name] for name in written} == written
    assert written["S3_ENDPOINT"].startswith("http://127.0.0.1:")
    assert written["AWS_REGION"] == "eu-west-1"
    assert "real" not in environ.values()
    assert "AWS_SESSION_TOKEN" not in environ


WAITS = """
    caught = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
        signal.signal(number, lambda number, frame: caught.append(number))
    assert ask("PUT", "/out/key", "body")[0] == 200
    print("begun", flush=True)
    while not caught:
        time.sleep(0.01)
    assert ask("PUT", "/out/caught", str(int(caught[0])))[0] == 200
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGQUIT"])
def test_a_signal_is_for_the_command_which_has_its_gateway_still(out: Path, name: str):
    number = signal.Signals[name]
    process = begin("--out", out, command=python(WAITS))
    process.send_signal(number)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert (out / "caught").read_text() == str(int(number))


def test_a_command_that_dies_of_a_signal_has_the_status_that_a_shell_gives(out: Path):
    process = begin("--out", out, command=["sh", "-c", "echo begun; exec sleep 60"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not out.exists()


def test_what_a_terminal_sends_reaches_the_command_once(out: Path):
    """Its whole process group has it; the gateway is in another one, and serves on."""
    script = """
        import pty
        child, terminal = pty.fork()
        if not child:
            os.execv(sys.argv[1], sys.argv[1:])
        shown = b""
        while b"begun" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\\x03")
        try:
            while piece := os.read(terminal, 1000):
                shown += piece
        except OSError:
            pass
        sys.stdout.write(shown.decode())
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    counts = """
        caught = []
        signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
        print("begun", flush=True)
        while not caught:
            time.sleep(0.01)
        time.sleep(0.3)
        assert ask("PUT", "/out/caught", str(len(caught)))[0] == 200
    """
    command = command_line(["--out", out], python(counts))
    with_terminal = [sys.executable, "-c", "import os, sys\n" + textwrap.dedent(script), *command]
    done = subprocess.run(with_terminal, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    assert (out / "caught").read_text() == "1"


def gateway_of(process: subprocess.Popen[str]) -> int:
    """The gateway's process among those of `s3gate run`: the one that has workers."""
    [found] = [pid for pid in workers(process.pid) if workers(pid)]
    return found


def test_a_gateway_that_ends_ends_the_command_and_nothing_appears(out: Path):
    process = begin("--out", out, command=python("print('begun', flush=True); time.sleep(60)"))
    gateway = gateway_of(process)
    [worker] = workers(gateway)
    os.kill(gateway, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 125
    assert "the gateway has ended" in errors
    assert "The gateway ended before the command did (SIGKILL)" in errors
    assert not out.exists()
    wait_for(lambda: is_gone(worker), "the worker to end")


def test_a_worker_that_dies_is_replaced(out: Path):
    script = """
        print("begun", flush=True)
        sys.stdin.readline()
        for _ in range(600):
            try:
                if ask("PUT", "/out/key", "body")[0] == 200:
                    break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("no worker came back")
    """
    command = command_line(["--out", out], python(script))
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        [worker] = workers(gateway_of(process))
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: is_gone(worker), "the worker to end")
        _, errors = process.communicate("go\n", timeout=60)
    assert process.returncode == 0, errors
    assert (out / "key").read_bytes() == b"body"


def test_when_it_is_killed_itself_its_gateway_ends(tmp_path: Path):
    script = "print('begun', flush=True); sys.stdin.read()"
    command = command_line(["--out", tmp_path / "result"], python(script))
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        gateway = gateway_of(process)
        [worker] = workers(gateway)
        process.kill()
        process.wait(60)
        wait_for(lambda: is_gone(gateway) and is_gone(worker), "the gateway to end")
    assert not (tmp_path / "result").exists()


def test_what_the_command_left_running_finishes_its_request_before_the_output_appears(out: Path):
    script = """
        import socket
        ready, done = os.pipe()
        if os.fork():
            os.read(ready, 1)
            sys.exit(0)
        os.setsid()
        connection = socket.create_connection(address.split(":"))
        connection.sendall(b"PUT /out/late HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 4\\r\\n\\r\\nla")
        time.sleep(0.3)
        os.write(done, b"1")
        time.sleep(0.7)
        connection.sendall(b"te")
        answer = connection.recv(1000)
        os._exit(0 if b" 200 " in answer else 1)
    """
    begun = time.monotonic()
    done = run("--out", out, command=python(script))
    assert (done.returncode, done.stderr) == (0, ""), time.monotonic() - begun
    assert (out / "late").read_bytes() == b"late"


def test_who_has_no_patience_with_what_the_command_left_running_cuts_it_off(out: Path):
    script = """
        import socket
        connection = socket.create_connection(address.split(":"))
        connection.sendall(b"PUT /out/never HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 4\\r\\n\\r\\nla")
        assert ask("PUT", "/out/key", "body")[0] == 200
        print("begun", flush=True)
        print(address, flush=True)
        if not os.fork():
            time.sleep(60)
    """
    process = begin("--out", out, command=python(script))
    assert process.stdout is not None
    host, _, port = process.stdout.readline().strip().partition(":")

    def is_refused() -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_for(is_refused, "the gateway to stop listening")
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0  # requests under way would have 30 seconds
    process.stdout.close()
    assert read_tree(out) == {"key": b"body"}


def test_a_parent_that_ignores_its_children_does_not_matter():
    script = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", script, *command_line([], ["sh", "-c", "exit 5"])]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 5


def test_an_output_directory_that_somebody_fills_meanwhile_is_left_alone(tmp_path: Path):
    place = tmp_path / "result"
    script = f"""
        assert ask("PUT", "/out/key", "body")[0] == 200
        os.mkdir({str(place)!r})
        open({str(place / "file")!r}, "w").close()
    """
    done = run("--out", place, command=python(script))
    assert done.returncode == 125
    assert os.listdir(place) == ["file"]
    kept = done.stderr.partition("kept as ")[2].partition(": move")[0]
    assert (Path(kept) / "key").read_bytes() == b"body"


def test_an_output_that_the_command_has_removed_is_told(out: Path):
    done = run("--out", out, command=["sh", "-c", f"rm -rf {out.parent}/.{out.name}.*"])
    assert done.returncode == 125
    assert done.stderr.startswith("s3gate: The command has succeeded, but its output is gone")
    assert not out.exists()


def test_all_of_a_tree_is_read(tree: Path):
    script = f"""
        import html
        from urllib.parse import quote
        listing = ask("GET", "/input?list-type=2")[1]
        names = [html.unescape(part.partition("<")[0]) for part in listing.split("<Key>")[1:]]
        expected = {TREE!r}
        assert sorted(names) == sorted(expected), names
        for name, size in expected.items():
            connection = http.client.HTTPConnection(address)
            connection.request("GET", "/input/" + quote(name))
            assert len(connection.getresponse().read()) == size, name
    """
    done = run("--input", f"input={tree}", command=python(script))
    assert (done.returncode, done.stderr) == (0, "")
