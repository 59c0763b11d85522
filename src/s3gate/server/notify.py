"""Telling the service manager that started the gateway how it is: the protocol of sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import time

__all__ = ["ServiceManager"]

_log = logging.getLogger(__name__)


class ServiceManager:
    """Who waits for word at the socket `address` (NOTIFY_SOCKET); nobody where it is empty."""

    def __init__(self, address: str) -> None:
        # unix(7): a socket without a file has a name that begins with NUL, which the environment cannot hold
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of_environment(cls) -> ServiceManager:
        """The one that has started this process."""
        return cls(os.environ.get("NOTIFY_SOCKET", ""))

    def ready(self) -> None:
        """It serves, or has taken a changed configuration over."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It begins to take a changed configuration over."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It begins to stop."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("the service manager at %r cannot be told %r: %s", self._address, text, error)
