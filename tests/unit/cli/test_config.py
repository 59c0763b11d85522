from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli

from s3gate.cli.config import render_reference, render_template
from s3gate.cli.main import main
from s3gate.config import ConfigError, load_settings
from s3gate.setting_hints import is_live
from s3gate.settings import Settings

PROJECT = Path(__file__).parents[3]
UNSET = {name for name, field in Settings.model_fields.items() if field.default is None}
MARKS = ("<!-- settings: s3gate config reference -->\n\n", "\n<!-- end of settings -->")


def test_the_page_of_settings_is_what_the_settings_say():
    page = (PROJECT / "docs" / "configuration.md").read_text()
    _, _, rest = page.partition(MARKS[0])
    reference, end, _ = rest.partition(MARKS[1])
    assert end
    assert reference == render_reference()


def test_the_reference_says_which_settings_change_while_the_gateway_serves():
    told = re.findall(r"TOML: `(\w+)`\. A change is taken over on SIGHUP\.", render_reference())
    assert told == [name for name in Settings.model_fields if is_live(name)]
    assert {"log_level", "tls_cert", "credentials"} <= set(told)
    assert not {"listen", "data_dir", "workers"} & set(told)


def test_the_example_file_is_what_the_settings_say():
    assert (PROJECT / "conf" / "s3gate.toml").read_text() == render_template()


def test_the_reference_has_every_setting_with_its_three_names():
    text = render_reference()
    for name in Settings.model_fields:
        section = text.partition(f"### {name}\n")[2].partition("###")[0]
        assert f"Environment: `S3GATE_{name.upper()}`" in section
        assert f"TOML: `{name}`" in section
        assert "Command line: `" in section


def test_the_example_file_changes_nothing_and_with_all_marks_taken_away_still_nothing(tmp_path):
    path = tmp_path / "s3gate.toml"
    path.write_text(render_template())
    assert load_settings({}, {}, path) == Settings()
    path.write_text(re.sub(r"^#(?=[a-z_]+ = )(?!.*not set by default)", "", render_template(), flags=re.MULTILINE))
    given = tomli.loads(path.read_text())["s3gate"]
    assert set(Settings.model_fields) - set(given) == UNSET
    assert load_settings({}, {}, path) == Settings()


@pytest.mark.parametrize(
    "section", re.findall(r"```toml\n(.*?)```", (PROJECT / "docs" / "configuration.md").read_text(), re.DOTALL)
)
def test_every_example_of_the_page_can_be_loaded(section, tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(section)
    try:
        load_settings({}, {}, path)
    except ConfigError as error:
        pytest.fail(str(error))


def test_show_gives_a_file_that_gives_the_same_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("S3GATE_DOMAINS", "a.example,b.example")
    assert main(["config", "show", "/srv/s3", "--read-only", "--listen", ":1"]) == 0
    path = tmp_path / "shown.toml"
    path.write_text(capsys.readouterr().out)
    settings = load_settings({}, {}, path)
    shown = (settings.data_dir, settings.read_only, settings.listen, settings.domains)
    assert shown == ("/srv/s3", True, "0.0.0.0:1", ("a.example", "b.example"))


def test_show_masks_secrets(capsys, monkeypatch):
    monkeypatch.setenv("MINIO_ROOT_USER", "admin")
    monkeypatch.setenv("MINIO_ROOT_PASSWORD", "SECRETIVE")
    assert main(["config", "show", "--credential", "key:SECRETIVE"]) == 0
    out = capsys.readouterr().out
    assert "admin" in out
    assert "SECRETIVE" not in out


def test_reference_and_template_are_commands(capsys):
    assert main(["config", "reference"]) == 0
    assert capsys.readouterr().out == render_reference()
    assert main(["config", "template"]) == 0
    assert capsys.readouterr().out == render_template()
