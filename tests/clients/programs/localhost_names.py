"""Run a Python program (PROGRAM ARGUMENTS…) for which names under localhost are the loopback address.

RFC 6761 says so, but not every system's resolver does. Virtual-host addressing needs such names.
"""

import runpy
import socket
import sys

system_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host, *arguments, **options):
    under_localhost = isinstance(host, str) and host.endswith(".localhost")
    return system_getaddrinfo("127.0.0.1" if under_localhost else host, *arguments, **options)


socket.getaddrinfo = getaddrinfo
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
