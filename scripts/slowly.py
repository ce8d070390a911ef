#!/usr/bin/env python3
"""Runs a command as on a machine that is so many times slower: it and all that it starts stand still most of the time.

    python3 scripts/slowly.py 10 cargo test -p flotilla-orders

Clocks go on meanwhile, so a test that depends on the machine's speed fails here. It costs the machine nothing.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

# Long enough for a process to get something done, short beside the shortest wait that matters.
PERIOD = 0.2


def descendants(ancestor):
    """The process and what it has started, as far as it lives."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name may hold blanks and brackets: what counts follows the last of them.
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [ancestor]
    for process in found:
        found += children.get(process, [])
    return found


def send(processes, number):
    """Sends a signal to those that are still there."""
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
