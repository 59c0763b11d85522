"""The package and the image: what is in the wheel, and that the Dockerfile's steps make a gateway that serves."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s3gate
from s3gate.config import ENV_PREFIX, Settings
from support.dockerfile import Image, instructions
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway

REPOSITORY = Path(__file__).resolve().parents[1]
STEPS = instructions(REPOSITORY / "Dockerfile")
FINAL = [step for step in STEPS if step.stage == STEPS[-1].stage]
UID = 10001


def _steps(keyword: str) -> list[str]:
    return [step.text for step in FINAL if step.keyword == keyword]


def _words(keyword: str) -> list[str]:
    (step,) = [step for step in FINAL if step.keyword == keyword]
    return step.words


def test_the_version_is_said_once():
    """The package's metadata, the code and the change log agree."""
    assert importlib.metadata.version("s3gate") == s3gate.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", s3gate.__version__)
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_the_licence_is_apache_2():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    text = (REPOSITORY / "LICENSE").read_text()

    assert project["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_image_runs_as_a_numbered_user_without_root():
    user, _, group = _steps("USER")[-1].partition(":")

    assert (int(user), int(group)) == (UID, UID)


def test_the_image_is_configured_by_variables_that_are_settings():
    environ = Image(Path("/"), ["/nowhere"]).environ(FINAL)
    settings = {name for name in environ if name.startswith(ENV_PREFIX)}

    assert settings
    assert {name.removeprefix(ENV_PREFIX).lower() for name in settings} <= Settings.model_fields.keys()
    assert environ["S3GATE_DATA_DIR"] in _words("VOLUME")
    assert environ["S3GATE_LISTEN"] == Settings.model_fields["listen"].default
    assert _steps("EXPOSE") == [environ["S3GATE_LISTEN"].rpartition(":")[2]]


def test_the_image_starts_without_a_shell_and_checks_its_health_without_curl():
    assert _words("ENTRYPOINT") == ["s3gate", "serve"]
    assert not any(step.keyword == "CMD" for step in FINAL)
    health = _words("HEALTHCHECK")
    assert health[:2] == ["python", "-c"]
    compile(health[2], "HEALTHCHECK", "exec")
    assert "/healthz" in health[2]


def test_every_base_is_slim_and_pinned_to_a_version_that_the_package_allows():
    bases = [step.text.split()[0] for step in STEPS if step.keyword == "FROM"]

    assert len(bases) == 2
    assert set(bases) == {"python:3.12-slim"}


# --- the steps of the image, run


class ImageGateway(Gateway):
    """The image's entry point in its environment, as its user where the tests run as root."""

    def __init__(self, image: Image) -> None:
        super().__init__(image.root / "data")
        self.image = image

    def command(self) -> list[str]:
        variables = {
            **self.image.environ(FINAL),
            "S3GATE_LISTEN": self.address,
            "S3GATE_WORKERS": "2",
            "S3GATE_CREATE_BUCKETS": "made-at-start",
            "MINIO_ROOT_USER": ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": SECRET_KEY,
        }
        self.variables = variables
        return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *_words("ENTRYPOINT")]

    def process_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": "/"}
        if os.geteuid() == 0:
            options |= {"user": UID, "group": UID, "extra_groups": []}
        return options


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The first stage, built in a clean directory that the image's user can reach."""
    with tempfile.TemporaryDirectory(prefix="s3gate-image-") as directory:
        root = Path(directory)
        root.chmod(0o755)
        (root / "bin").mkdir()
        (root / "bin/python").symlink_to(_python())
        image = Image(root, ["/build", "/opt/s3gate", "/data"])
        (root / "opt").mkdir()
        environ = {**os.environ, "PATH": f"{root}/bin:/usr/bin:/bin"}
        environ.pop("PYTHONPATH", None)
        image.build([step for step in STEPS if step.stage == 0], REPOSITORY, environ)
        (root / "data").mkdir()
        if os.geteuid() == 0:
            os.chown(root / "data", UID, UID)
        yield image


def _python() -> str:
    """A Python outside every environment, that the image's user may run: root's own may lie in root's home."""
    options: dict[str, Any] = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
    probe = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for candidate in (getattr(sys, "_base_executable", sys.executable), shutil.which("python3", path="/usr/bin")):
        try:
            if candidate and subprocess.run([candidate, "-c", probe], cwd="/", check=False, **options).returncode == 0:
                return str(candidate)
        except PermissionError:
            continue
    raise AssertionError("the image's steps need a Python 3.11 or newer with venv that every user may run")


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("image")
def test_the_wheel_holds_the_package_its_types_and_its_licence(image: Image):
    (wheel,) = (image.root / "build/dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.name == f"s3gate-{s3gate.__version__}-py3-none-any.whl"
    modules = {path.relative_to(REPOSITORY / "src").as_posix() for path in (REPOSITORY / "src").rglob("*.py")}
    assert modules <= set(names)
    assert "s3gate/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("s3gate/", f"s3gate-{s3gate.__version__}.dist-info/"))]


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("image")
def test_the_steps_of_the_image_make_a_gateway_that_serves_from_variables_alone(image: Image):
    with ImageGateway(image) as gateway:
        s3 = gateway.boto3()
        s3.put_object(Bucket="made-at-start", Key="dir/hello", Body=b"hello")
        health = subprocess.run(
            [
                "/usr/bin/env",
                "-i",
                *(f"{name}={value}" for name, value in gateway.variables.items()),
                *_words("HEALTHCHECK"),
            ],
            check=False,
        )

        assert s3.get_object(Bucket="made-at-start", Key="dir/hello")["Body"].read() == b"hello"
        assert health.returncode == 0
        stored = image.root / "data/made-at-start/dir/hello"
        assert stored.read_bytes() == b"hello"
        assert stored.stat().st_uid == (UID if os.geteuid() == 0 else os.geteuid())

    unhealthy = subprocess.run(
        [
            "/usr/bin/env",
            "-i",
            *(f"{name}={value}" for name, value in gateway.variables.items()),
            *_words("HEALTHCHECK"),
        ],
        check=False,
        capture_output=True,
    )
    assert unhealthy.returncode == 1


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("image")
def test_what_is_installed_in_the_image_agrees_with_itself(image: Image):
    listed = subprocess.run(
        [image.root / "opt/s3gate/bin/python", "-m", "pip", "list", "--format", "json"], capture_output=True, check=True
    )
    names = {each["name"].lower() for each in json.loads(listed.stdout)}

    subprocess.run([image.root / "opt/s3gate/bin/python", "-m", "pip", "check"], check=True, capture_output=True)
    assert "s3gate" in names
    assert not names & {"pytest", "boto3", "mypy", "ruff"}
