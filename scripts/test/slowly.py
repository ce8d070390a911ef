#!/usr/bin/env python3
"""Runs a command as on a machine that is N times slower: it and everything that it starts are stopped most of the time.

    python3 scripts/test/slowly.py 10 cargo test -p flotilla-orders

Clocks go on meanwhile, so a test that depends on the machine's speed fails here. This takes no processor time.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

# Long enough for a process to make progress, short compared with the shortest wait that matters.
PERIOD = 0.2


def descendants(ancestor):
    """The process and the live ones that it has started."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name may contain spaces and brackets: the fields follow the last bracket.
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [ancestor]
    for process in found:
        found += children.get(process, [])
    return found


def send(processes, number):
    """Sends a signal to those that still exist."""
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass


def main():
    """The command line."""
    if len(sys.argv) < 3:
        sys.exit("usage: slowly.py TIMES COMMAND [ARGUMENT...]")
    times, command = float(sys.argv[1]), subprocess.Popen(sys.argv[2:])
    try:
        while command.poll() is None:
            stopped = descendants(command.pid)
            send(stopped, signal.SIGSTOP)
            time.sleep(PERIOD * (1 - 1 / times))
            send(stopped, signal.SIGCONT)
            time.sleep(PERIOD / times)
    except BaseException:
        send(descendants(command.pid), signal.SIGCONT)
        command.terminate()
        raise
    return command.returncode


if __name__ == "__main__":
    sys.exit(main())
