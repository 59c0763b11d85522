"""The system calls by which a running process changes files and forces them to the medium, by ptrace(2).

Linux on x86-64 and AArch64, by ctypes alone. The process must be a descendant of this one, or this one privileged:
where tracing is refused TracingRefused says what to do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Call", "Trace", "TracingRefused", "traced"]

_SYSCALL, _CONT_DETACH, _SETOPTIONS, _SEIZE, _INTERRUPT, _GET_INFO = 24, 17, 0x4200, 0x4206, 0x4207, 0x420E
_LISTEN = 0x4208
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8  # TRACESYSGOOD, and every fork, vfork and clone is traced too
_EVENT_STOP = 128
_WALL, _NOTHREAD = 0x40000000, 0x20000000
_ENTRY, _EXIT = 1, 2

# By name: the numbers on x86-64 and AArch64, and how the arguments name files: "f" a descriptor, "p" a path, "d" the
# directory of the path behind it, "-" something else.
_CALLS: dict[str, tuple[int, int, str]] = {
    "fsync": (74, 82, "f"),
    "fdatasync": (75, 83, "f"),
    "sync_file_range": (277, 84, "f"),
    "sync": (162, 81, ""),
    "syncfs": (306, 267, "f"),
    "rename": (82, -1, "pp"),
    "renameat": (264, 38, "dpdp"),
    "renameat2": (316, 276, "dpdp"),
    "link": (86, -1, "pp"),
    "linkat": (265, 37, "dpdp"),
    "unlink": (87, -1, "p"),
    "unlinkat": (263, 35, "dp"),
    "rmdir": (84, -1, "p"),
    "mkdir": (83, -1, "p"),
    "mkdirat": (258, 34, "dp"),
}
_MACHINES = {"x86_64": 0, "aarch64": 1}
_PLAIN = {"renameat": "rename", "renameat2": "rename", "linkat": "link", "unlinkat": "unlink", "mkdirat": "mkdir"}
_AT_FDCWD = (1 << 32) - 100
_AT_REMOVEDIR = 0x200

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class TracingRefused(AssertionError):
    """The kernel does not let this process trace another one."""


@dataclass
class Call:
    """One call. `start` and `end` are places in the order of all entries and returns; `error` is 0 or an errno."""

    name: str
    paths: list[str]
    start: int
    end: int = 0
    error: int = 0


@dataclass
class Trace:
    """The calls of a process with all its threads, in the order of their beginning; complete when the block is left."""

    calls: list[Call] = field(default_factory=list)

    def done(self, *names: str) -> list[Call]:
        """The calls of these names that succeeded; all without a name."""
        return [call for call in self.calls if not call.error and (not names or call.name in names)]

    def counts(self) -> Counter[str]:
        """How many there were of each."""
        return Counter(call.name for call in self.done())


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    result: int = _libc.ptrace(request, pid, address, data)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class _Tracer(threading.Thread):
    """The thread that traces: the kernel takes orders from it alone."""

    def __init__(self, pid: int, hold: Callable[[Call], bool], trace: Trace) -> None:
        super().__init__(daemon=True)
        self.trace = trace
        self._hold = hold
        self._held: dict[int, Call] = {}  # by thread: the call before which it is kept
        self.attached = threading.Event()
        self.failure: BaseException | None = None
        self._pid = pid
        self._ended = threading.Event()
        self._order = 0
        self._threads: set[int] = set()
        self._open: dict[int, Call] = {}  # by thread: the call that it is in
        machine = _MACHINES.get(platform.machine(), -1)
        if machine < 0:
            raise TracingRefused(f"System calls are known here by their numbers on {', '.join(_MACHINES)} only.")
        self._names = {numbers[machine]: name for name, numbers in _CALLS.items() if numbers[machine] >= 0}

    def end(self) -> None:
        """Let the process go on by itself."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        try:
            self._attach()
            self.attached.set()
            while not self._ended.is_set():
                self._release()
                if not self._next():
                    time.sleep(0.0003)
            self._detach()
        except BaseException as error:
            self.failure = error
        finally:
            self.attached.set()

    def _attach(self) -> None:
        """Take hold of every thread, also of those that start meanwhile; each then stops at its next call."""
        while new := {int(name) for name in os.listdir(f"/proc/{self._pid}/task")} - self._threads:
            for thread in new:
                self._threads.add(thread)
                try:
                    _ptrace(_SEIZE, thread, 0, _OPTIONS)
                except ProcessLookupError:
                    continue
                except PermissionError as error:
                    if self._is_ours(thread):
                        continue  # a thread of a traced one, which is traced since its start
                    raise TracingRefused(
                        "The kernel refuses ptrace, by which this test counts system calls. Allow it: in a container "
                        "with --cap-add=SYS_PTRACE, on a host with sysctl kernel.yama.ptrace_scope=1 or 0."
                    ) from error
                _ptrace(_INTERRUPT, thread)

    def _is_ours(self, thread: int) -> bool:
        status = Path(f"/proc/{thread}/status").read_text()
        return f"TracerPid:\t{threading.get_native_id()}\n" in status

    def _next(self) -> bool:
        """Handle one stop, if there is any."""
        try:
            thread, status = os.waitpid(-1, os.WNOHANG | _WALL | _NOTHREAD)
        except ChildProcessError:
            return False
        if not thread:
            return False
        self._threads.add(thread)
        if not os.WIFSTOPPED(status):
            self._threads.discard(thread)
            return True
        number, event = os.WSTOPSIG(status), status >> 16
        if number == 5 | 0x80:
            self._call(thread)
            if thread not in self._held:
                self._resume(thread)
        elif event == _EVENT_STOP and number in (19, 20, 21, 22):
            self._resume(thread, request=_LISTEN)  # the process is stopped by a signal, and stays so
        else:
            self._resume(thread, 0 if event else number)  # a signal goes where it was sent
        return True

    def _release(self, *, everybody: bool = False) -> None:
        """Let go of whoever need not be held any longer."""
        for thread, call in list(self._held.items()):
            if everybody or not self._hold(call):
                del self._held[thread]
                self._resume(thread)

    @staticmethod
    def _resume(thread: int, number: int = 0, request: int = _SYSCALL) -> None:
        try:
            _ptrace(request, thread, 0, number)
        except ProcessLookupError:
            pass  # killed while it was stopped

    def _call(self, thread: int) -> None:
        buffer = ctypes.create_string_buffer(88)
        try:
            _ptrace(_GET_INFO, thread, len(buffer), ctypes.addressof(buffer))
        except ProcessLookupError:
            return
        self._order += 1
        if buffer.raw[0] == _ENTRY:
            number, *arguments = struct.unpack_from("=7Q", buffer, 24)
            name = self._names.get(number)
            if name is not None:
                paths = self._paths(thread, _CALLS[name][2], arguments)
                plain = "rmdir" if name == "unlinkat" and arguments[2] & _AT_REMOVEDIR else _PLAIN.get(name, name)
                self._open[thread] = call = Call(plain, paths, self._order)
                self.trace.calls.append(call)
                if self._hold(call):
                    self._held[thread] = call
        elif buffer.raw[0] == _EXIT and thread in self._open:
            call = self._open.pop(thread)
            result = struct.unpack_from("=q", buffer, 24)[0]
            call.end, call.error = self._order, -min(result, 0)

    def _paths(self, thread: int, kinds: str, arguments: list[int]) -> list[str]:
        """The files that a call is about, by their paths in full."""
        paths = []
        directory = ""
        for kind, argument in zip(kinds, arguments, strict=False):
            if kind in "fd":
                number = argument & 0xFFFFFFFF
                link = f"/proc/{thread}/cwd" if number == _AT_FDCWD else f"/proc/{thread}/fd/{number}"
                directory = os.readlink(link)
                if kind == "f":
                    paths.append(directory)
            elif kind == "p":
                name = _text(thread, argument)
                base = directory or os.readlink(f"/proc/{thread}/cwd")
                paths.append(os.path.normpath(os.path.join(base, name)))
        return paths

    def _detach(self) -> None:
        """Each thread must be stopped for that: those that are not are interrupted."""
        self._release(everybody=True)
        for thread in list(self._threads):
            try:
                _ptrace(_INTERRUPT, thread)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
                self._threads.discard(thread)
        while self._threads:
            thread, status = os.waitpid(-1, _WALL | _NOTHREAD)
            self._threads.discard(thread)
            if os.WIFSTOPPED(status):
                number, event = os.WSTOPSIG(status), status >> 16
                if number == 5 | 0x80:
                    self._call(thread)
                deliver = 0 if event or number == 5 | 0x80 else number
                self._resume(thread, deliver, request=_CONT_DETACH)


def _text(thread: int, address: int) -> str:
    """A string of C in the memory of a thread."""
    found = b""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        while b"\0" not in found:
            memory.seek(address + len(found))
            found += memory.read(min(256, 4096 - (address + len(found)) % 4096))
    return os.fsdecode(found.partition(b"\0")[0])


def _never(_call: Call) -> bool:
    return False


@contextmanager
def traced(pid: int, hold: Callable[[Call], bool] = _never, trace: Trace | None = None) -> Iterator[Trace]:
    """Trace a process while the block runs; the trace is complete behind it.

    A call for which `hold` is true is not begun before it is false. It is asked again and again, and must not wait.
    `trace` is what is filled, for a `hold` that looks at it.
    """
    tracer = _Tracer(pid, hold, Trace() if trace is None else trace)
    tracer.start()
    tracer.attached.wait()
    try:
        if tracer.failure is None:
            yield tracer.trace
    finally:
        tracer.end()
        if tracer.failure is not None:
            raise tracer.failure
