from __future__ import annotations

import pytest

from s3gate.core.log_levels import LogLevels, from_rust, parse_levels


@pytest.mark.parametrize(
    ("text", "root", "modules"),
    [
        ("debug", "debug", {}),
        ("info,s3gate.server=debug", "info", {"s3gate.server": "debug"}),
        (" s3gate.auth = TRACE , uvicorn=error,", "info", {"s3gate.auth": "trace", "uvicorn": "error"}),
    ],
)
def test_a_text_names_the_level_of_everything_and_those_of_modules(text, root, modules):
    assert parse_levels(text) == LogLevels(root, modules)
    assert parse_levels(str(parse_levels(text))) == LogLevels(root, modules)


@pytest.mark.parametrize("text", ["", ",", "loud", "info,debug", "s3gate.server=", "=debug", "a b=debug", "warn"])
def test_what_names_no_level_is_refused(text):
    with pytest.raises(ValueError, match=r"level|module"):
        parse_levels(text)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", ""),
        ("debug", "debug"),
        ("WARN", "warning"),
        ("off", "error"),
        ("trace/some.*filter", "trace"),
        ("curvine_s3_gateway", "s3gate=trace"),
        ("curvine_s3_gateway::auth=debug", "s3gate.auth=debug"),
        ("info,s3gate::server::workers=trace,hyper=debug,tokio", "info,s3gate.server.workers=trace"),
        ("[span]=info,hyper", ""),
    ],
)
def test_of_rust_log_counts_what_means_this_program(text, levels):
    assert from_rust(text) == levels
