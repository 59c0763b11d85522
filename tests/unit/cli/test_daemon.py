"""`s3gate start`, `stop`, `status` and `restart` as an operator meets them: real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s3gate.cli.main import main
from support.gateway import free_port
from support.processes import is_gone, wait_for, workers

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own, whose gateways end with the test."""
    yield tmp_path
    for path in (tmp_path / ".s3gate" / "run").glob("*.pid"):
        pid = json.loads(path.read_text() or '{"pid": 0}')["pid"]
        if pid and not is_gone(pid):
            os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def run(home: Path) -> Run:
    """Run `s3gate ...` to its end, in that home."""

    def s3gate(*argv: str, cwd: Path = home, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("S3GATE_", "AWS_"))}
        return subprocess.run(
            [sys.executable, "-m", "s3gate", *argv],
            cwd=cwd,
            env={**clean, "HOME": str(home), "S3GATE_WORKERS": "1", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return s3gate


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{free_port()}"


def facts(run: Run, *argv: str) -> dict:
    """What status tells of a gateway that serves."""
    done = run("status", "--json", *argv)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["serves"]
    return found


def test_start_comes_back_when_it_serves_and_says_where_and_what_to_type_next(run, home, listen):
    done = run("start", "--listen", listen)
    assert done.returncode == 0
    assert f"Endpoint:   http://{listen}\n" in done.stdout
    assert f"s3gate stop --listen {listen}\n" in done.stdout
    with socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2]))):
        pass
    assert run("stop").returncode == 0


def test_the_secret_that_a_first_start_makes_is_shown_and_not_logged(run, home, listen):
    done = run("start", "--listen", listen)
    secret = json.loads((home / ".s3gate" / "credentials.jsonl").read_text())["secret_key"]
    log = Path(facts(run)["log"])
    assert run("stop").returncode == 0
    assert secret in done.stdout
    assert "stopping" in log.read_text()
    assert secret not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_status_tells_address_uptime_workers_version_process_and_log(run, home, listen):
    run("start", "data", "--listen", listen, "--workers", "2", "--no-auth")
    found = facts(run)
    text = run("status").stdout
    assert len(workers(found["pid"])) == found["workers"] == 2
    assert (found["listen"], found["urls"], found["data_dir"]) == (listen, [f"http://{listen}"], str(home / "data"))
    assert 0 <= found["uptime_seconds"] < 600
    for part in (f"http://{listen}", "Workers:    2 of 2", "Uptime:     0:0", str(found["pid"]), found["log"]):
        assert part in text
    assert text.startswith("s3gate 0.")
    os.kill(found["pid"], signal.SIGTERM)
    wait_for(lambda: is_gone(found["pid"]), "the end of the gateway")
    assert run("status").returncode == 1


def test_nothing_runs_before_start_and_after_stop(run, listen):
    for _ in range(2):
        assert run("status", "--listen", listen).returncode == 1
        assert run("stop", "--listen", listen).returncode == 0
        assert run("start", "--listen", listen, "--no-auth").returncode == 0
        assert run("status", "--listen", listen).returncode == 0
        assert run("stop", "--listen", listen).stdout.startswith(f"Stopped the gateway at {listen} (process ")


def test_each_gateway_is_found_by_its_address_or_by_the_file_that_names_it(run, home, listen):
    other = f"127.0.0.1:{free_port()}"
    (home / "other.toml").write_text(f'listen = "{other}"\nno_auth = true\n')
    assert run("start", "--listen", listen, "--no-auth").returncode == 0
    assert run("start", "--conf", "other.toml").returncode == 0
    assert facts(run, "--listen", listen)["pid"] != facts(run, "--conf", "other.toml")["pid"]
    assert run("restart").stderr.startswith("s3gate: Several gateways run, at ")
    neither = run("stop")
    assert "No gateway runs at 0.0.0.0:9900" in neither.stdout
    assert listen in neither.stdout
    assert other in neither.stdout
    assert run("stop", "--conf", str(home / "other.toml")).returncode == 0
    assert run("status", "--conf", "other.toml").returncode == 1
    assert facts(run)["listen"] == listen
    assert listen in run("stop").stdout


def test_a_gateway_is_found_by_its_file_when_that_names_another_address_by_now(run, home, listen):
    other = f"127.0.0.1:{free_port()}"
    conf = home / "s3gate.toml"
    conf.write_text(f'listen = "{listen}"\nno_auth = true\n')
    run("start", "--conf", "s3gate.toml")
    conf.write_text(f'listen = "{other}"\nno_auth = true\n')
    assert facts(run, "--conf", "s3gate.toml")["listen"] == listen
    assert f"Stopped the gateway at {listen} " in run("restart", "--conf", str(conf)).stdout
    assert facts(run, "--conf", "s3gate.toml")["listen"] == other
    assert run("status", "--listen", listen, "--conf", "s3gate.toml").returncode == 1
    assert f"Stopped the gateway at {other} " in run("stop", "--conf", "s3gate.toml").stdout


def test_a_second_start_at_an_address_is_refused_and_the_first_one_serves_on(run, listen):
    run("start", "--listen", listen, "--no-auth")
    pid = facts(run)["pid"]
    second = run("start", "--listen", listen, "--no-auth")
    assert second.returncode == 1
    assert f"s3gate restart --listen {listen}" in second.stderr
    assert facts(run)["pid"] == pid
    run("stop")


def test_what_is_wrong_at_the_start_is_passed_on_with_its_status_and_leaves_nothing(run, home, listen):
    (home / "file").write_text("")
    wrong = run("start", "--listen", listen, "--workers", "many")
    assert (wrong.returncode, "--workers: " in wrong.stderr) == (2, True)
    unfit = run("start", "file", "--listen", listen)
    assert unfit.returncode == 1
    assert unfit.stderr.startswith("s3gate: ")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(listen.rpartition(":")[2])))
        taken.listen()
        in_use = run("start", "--listen", listen)
    assert in_use.returncode == 1
    assert "already" in in_use.stderr
    assert not list((home / ".s3gate" / "run").glob("*.pid"))


def test_what_keeps_the_workers_from_starting_is_told_from_the_log(run, home, listen):
    (home / "sitecustomize.py").write_text(
        "import s3gate.server.supervisor as s\n"
        "def broken(*_a, **_k):\n    raise RuntimeError('no worker today')\n"
        "s.serve = broken\n"
    )
    path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    done = run("start", "--listen", listen, "--no-auth", PYTHONPATH=path)
    assert done.returncode == 1
    assert "no worker today" in done.stderr
    assert "giving up" in done.stderr
    assert run("status", "--listen", listen).returncode == 1


def test_the_file_of_a_killed_gateway_is_noticed_and_makes_room(run, home, listen):
    run("start", "--listen", listen, "--no-auth")
    killed = facts(run)["pid"]
    os.killpg(killed, signal.SIGKILL)
    wait_for(lambda: is_gone(killed), "the end of the gateway")
    told = run("status", "--listen", listen)
    assert told.returncode == 1
    assert f"process {killed} has ended without a word" in told.stderr
    assert run("start", "--listen", listen, "--no-auth").returncode == 0
    assert facts(run)["pid"] != killed
    os.killpg(facts(run)["pid"], signal.SIGKILL)
    stopped = wait_for(lambda: run("stop", "--listen", listen), "stop")
    assert stopped.returncode == 0
    assert "stale" in stopped.stdout
    assert not list((home / ".s3gate" / "run").glob("*.pid"))


def test_a_process_that_has_the_number_of_a_killed_gateway_is_left_alone(run, home, listen):
    run("start", "--listen", listen, "--no-auth")
    pid = facts(run)["pid"]
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: is_gone(pid), "the end of the gateway")
    (path,) = (home / ".s3gate" / "run").glob("*.pid")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        path.write_text(path.read_text().replace(f'"pid": {pid},', f'"pid": {stranger.pid},'))
        assert run("status", "--listen", listen).returncode == 1
        assert run("stop", "--listen", listen).returncode == 0
        assert stranger.poll() is None
        stranger.kill()


def test_stop_waits_for_the_requests_under_way(run, home, listen):
    run("start", "data", "--listen", listen, "--no-auth", "--create-bucket", "bucket")
    with socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2])), timeout=60) as client:
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab")
        wait_for(lambda: list(home.glob("data/bucket/.s3gate/tmp/*/0")), "the stage")
        command = [sys.executable, "-m", "s3gate", "stop", "--listen", listen]
        with subprocess.Popen(command, env={**os.environ, "HOME": str(home)}, stdout=subprocess.PIPE) as stopping:
            log = home / ".s3gate" / "run" / f"{listen.replace(':', '_')}.log"
            wait_for(lambda: "stopping" in log.read_text(), "the word that it stops")
            assert stopping.poll() is None
            client.sendall(b"c")
            assert client.recv(12) == b"HTTP/1.1 200"
            assert stopping.wait(60) == 0
    assert (home / "data" / "bucket" / "key").read_bytes() == b"abc"


def test_restart_keeps_options_directory_and_environment_and_takes_what_is_new(run, home, listen):
    (home / "elsewhere").mkdir()
    keys = {"AWS_ACCESS_KEY_ID": "from-the-first-shell", "AWS_SECRET_ACCESS_KEY": "long-enough-secret"}
    run("start", "served", "--listen", listen, "--domain", "a.example", "--create-bucket", "bucket",
        "--path-prefix", "/s3", **keys)  # fmt: skip
    before = facts(run)
    again = run("restart", "--region", "eu-west-1", cwd=home / "elsewhere")
    after = facts(run)
    assert again.returncode == 0
    assert f"Stopped the gateway at {listen} (process {before['pid']})" in again.stdout
    assert "Region:     eu-west-1\n" in again.stdout
    assert "from-the-first-shell" in again.stdout
    assert after["pid"] != before["pid"]
    assert (after["data_dir"], after["urls"]) == (str(home / "served"), [f"http://{listen}/s3"])
    third = run("restart")
    assert "Region:     eu-west-1\n" in third.stdout
    assert "from-the-first-shell" in third.stdout
    run("stop")


def test_a_restart_that_could_not_start_leaves_the_gateway_serving(run, listen):
    run("start", "--listen", listen, "--no-auth")
    pid = facts(run)["pid"]
    assert run("restart", "--region", "no region").returncode == 2
    assert facts(run)["pid"] == pid
    run("stop")


def test_restart_starts_what_does_not_run_and_what_was_killed_with_its_options(run, home, listen):
    assert run("restart", "--listen", listen, "--no-auth", "--region", "eu-west-1").returncode == 0
    pid = facts(run)["pid"]
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: is_gone(pid), "the end of the gateway")
    assert "Region:     eu-west-1\n" in run("restart", "--listen", listen).stdout
    run("stop")


def test_several_addresses_and_a_unix_socket_are_one_gateway(run, home, listen):
    path = home / "s3.sock"
    run("start", "--listen", f"unix:{path}", "--listen", listen, "--no-auth", "--workers", "2")
    found = facts(run)
    assert found["urls"] == [f"unix:{path}", f"http://{listen}"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    os.killpg(found["pid"], signal.SIGKILL)
    wait_for(lambda: is_gone(found["pid"]), "the end of the gateway")
    assert path.exists()
    assert run("start", "--listen", f"unix:{path},{listen}", "--no-auth").returncode == 0
    run("stop")
    assert not path.exists()


def test_a_gateway_that_still_ends_leaves_the_unix_socket_of_the_next_one(run, home):
    path = home / "s3.sock"
    options = ("data", "--listen", f"unix:{path}", "--no-auth", "--create-bucket", "bucket")
    run("start", *options)
    ending = facts(run)["pid"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab")
        wait_for(lambda: list(home.glob("data/bucket/.s3gate/tmp/*/0")), "the stage")
        os.kill(ending, signal.SIGTERM)
        wait_for(lambda: not path.exists(), "the end of the socket")
        assert run("start", *options, "--run-dir", "another").returncode == 0
        client.sendall(b"c")
        assert client.recv(12) == b"HTTP/1.1 200"
    wait_for(lambda: is_gone(ending), "the end of the gateway")
    assert run("status", "--run-dir", "another").returncode == 0
    assert run("stop", "--run-dir", "another").returncode == 0
    assert not path.exists()


def test_without_an_address_the_only_gateway_is_meant_that_was_killed(run, home, listen):
    run("start", "data", "--listen", listen, "--no-auth", "--region", "eu-west-1")
    killed = facts(run)["pid"]
    os.killpg(killed, signal.SIGKILL)
    wait_for(lambda: is_gone(killed), "the end of the gateway")
    assert f"s3gate: {listen}: process {killed} has ended without a word" in run("status").stderr
    assert json.loads(run("status", "--json").stdout)["listen"] == listen
    assert "Region:     eu-west-1\n" in run("restart").stdout
    killed = facts(run)["pid"]
    os.killpg(killed, signal.SIGKILL)
    wait_for(lambda: is_gone(killed), "the end of the gateway")
    stopped = run("stop").stdout
    assert stopped.startswith(f"No gateway runs at {listen}.")
    assert "stale" in stopped


def test_status_is_json_while_the_workers_of_a_killed_gateway_end(run, home, listen):
    run("start", "data", "--listen", listen, "--no-auth", "--create-bucket", "bucket")
    killed = facts(run)["pid"]
    (worker,) = workers(killed)
    with socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2])), timeout=60) as client:
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab")
        wait_for(lambda: list(home.glob("data/bucket/.s3gate/tmp/*/0")), "the stage")
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: is_gone(killed), "the end of the gateway")
        told = run("status", "--json")
        assert (told.returncode, json.loads(told.stdout)["serves"]) == (1, False)
        assert "its workers just end" in json.loads(told.stdout)["fault"]
        client.sendall(b"c")
        assert client.recv(12) == b"HTTP/1.1 200"
    wait_for(lambda: is_gone(worker), "the end of the worker")


def test_paths_of_a_restart_are_those_of_the_directory_it_is_given_in(run, home, listen):
    (home / "elsewhere").mkdir()
    run("start", "--listen", listen, "--no-auth")
    again = run("restart", "--access-log", "requests.log", "--audit-log=-", "--put-temp-dir", "~/received",
                cwd=home / "elsewhere")  # fmt: skip
    assert again.returncode == 0
    assert (home / "elsewhere" / "requests.log").exists()
    assert (home / "received").is_dir()
    assert not (home / "requests.log").exists()
    run("stop")


def test_a_restart_in_a_directory_of_modules_does_not_run_them(run, home, listen):
    (home / "elsewhere").mkdir()
    run("start", "--listen", listen, "--no-auth")
    (home / "argparse.py").write_text("raise SystemExit('a module of the directory')\n")
    assert run("restart", cwd=home / "elsewhere").returncode == 0
    assert run("stop", cwd=home / "elsewhere").returncode == 0


def test_a_restart_with_a_certificate_that_is_none_leaves_the_gateway_serving(run, home, listen):
    run("start", "--listen", listen, "--no-auth")
    pid = facts(run)["pid"]
    assert run("restart", "--tls-cert", "none.pem", "--tls-key", "none.pem").returncode == 1
    assert facts(run)["pid"] == pid
    run("stop")


def test_the_gateway_of_another_user_is_not_restarted_as_this_one(run, home, listen, monkeypatch, capsys):
    run("start", "--listen", listen, "--no-auth")
    pid = facts(run)["pid"]
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: 12345)
        assert main(["restart", "--listen", listen, "--run-dir", str(home / ".s3gate" / "run")]) == 1
    assert f"that of the user {os.geteuid()}" in capsys.readouterr().err
    assert facts(run)["pid"] == pid
    run("stop")


def test_the_log_can_lie_elsewhere(run, home, listen):
    run("start", "--listen", listen, "--no-auth", "--log-file", "logs/s3gate.log")
    assert facts(run)["log"] == str(home / "logs" / "s3gate.log")
    run("stop")
    assert "stopping" in (home / "logs" / "s3gate.log").read_text()
