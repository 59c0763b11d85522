"""Settings that change while the gateway serves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from s3gate.server.sockets import ListenError, check_certificate
from s3gate.setting_hints import is_live
from s3gate.settings import Settings

__all__ = ["ReloadError", "Reloader"]

_log = logging.getLogger(__name__)
_TLS = ("tls_cert", "tls_key")


class ReloadError(Exception):
    """The settings cannot be read, or are wrong; the message says why."""


@dataclass(frozen=True, slots=True)
class Reloader:
    """Where settings come from and what depends on them outside of the server.

    `read` gives the settings as they are given now, or raises ReloadError. `apply` puts in force what is no matter of
    requests: the log.
    """

    read: Callable[[], Settings]
    apply: Callable[[Settings], None]

    def reload(self, current: Settings, *, tells: bool) -> Settings:
        """The settings to go on with: as they are given now, as far as they can change while it serves.

        Whoever `tells` logs what is wrong, with which nothing changes, and what needs a restart.
        """
        try:
            wanted = self.read()
            check_certificate(wanted.tls_cert, wanted.tls_key)
        except (ReloadError, ListenError) as error:
            if tells:
                _log.error("the settings stay as they are: %s", error)
            wanted = current
        changed = [name for name in Settings.model_fields if getattr(wanted, name) != getattr(current, name)]
        live = {name: getattr(wanted, name) for name in changed if _can_change(name, current, wanted)}
        fixed = [name for name in changed if name not in live]
        if tells and fixed:
            _log.warning("a change of %s takes effect at the next restart", ", ".join(fixed))
        if tells and live:
            _log.info("changed: %s", ", ".join(live))
        settings = current.model_copy(update=live)
        self.apply(settings)
        return settings


def _can_change(name: str, current: Settings, wanted: Settings) -> bool:
    """Whether a setting can change while it serves; other certificates can, but not whether there is one."""
    return is_live(name) and (name not in _TLS or None not in (current.tls_cert, wanted.tls_cert))
