#!/usr/bin/env python3
"""Plants the faults of scripts/test/mutants/*.toml, one at a time, in a copy of the tree, and says which test finds each.

A fault names a file, a text that occurs in it exactly once, the faulty text, and the arguments of `cargo test` by which
it is found. What counts as found is a test that ran and failed: not a fault that doesn't compile, not a filter that
matches no test, not a test that fails without the fault as well. Copy and target folder are in .flotilla/mutants; the
tree itself is only read.
"""

import argparse
import dataclasses
import fcntl
import filecmp
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib

KEYS = {"name": str, "file": str, "find": str, "replace": str, "test": str, "short": bool}
NEEDED = {"name", "file", "find", "replace", "test"}
VERDICT = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault, as its file describes it."""

    name: str
    file: str
    find: str
    replace: str
    test: str
    short: bool = False

    def crate(self):
        """The folder of the crate that must be rebuilt: faults of one crate are planted in sequence."""
        return self.file.split("/src/")[0].split("/queries/")[0]


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of a run of cargo."""

    status: int | None
    output: str

    def tests(self, verdict):
        """The names of the tests with this verdict."""
        return [name for name, given in VERDICT.findall(self.output) if given == verdict]


class Broken(Exception):
    """The list of faults is invalid."""


def read(folder):
    """The faults of all files, and the problems in them."""
    faults, problems = [], []
    for path in sorted(folder.glob("*.toml")):
        for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []), start=1):
            where = f"{path.name}, {entry.get('name', f'number {number}')}"
            wrong = [key for key, value in entry.items() if not isinstance(value, KEYS.get(key, ()))]
            lacking = sorted(NEEDED - entry.keys())
            if wrong or lacking:
                problems.append(f"{where}: not understood: {', '.join(wrong) or '-'}; lacking: {', '.join(lacking) or '-'}")
            else:
                faults.append(Fault(**entry))
    names = [fault.name for fault in faults]
    problems += [f"{name}: the name is taken twice" for name in sorted(set(names)) if names.count(name) > 1]
    return faults, problems


def misplaced(root, faults):
    """The problems that keep faults from being planted."""
    for fault in faults:
        path = root / fault.file
        text = path.read_text(encoding="utf-8") if path.is_file() else None
        if text is None:
            yield f"{fault.name}: there is no file {fault.file}"
        elif (times := text.count(fault.find)) != 1:
            yield f"{fault.name}: its text occurs {times} times in {fault.file}, not once"
        elif fault.find == fault.replace:
            yield f"{fault.name}: it changes nothing"


class Room:
    """The copy of the tree, with a target folder of its own."""

    def __init__(self, root, limit):
        self.root, self.limit = root, limit
        self.folder = root / ".flotilla" / "mutants"
        self.tree, self.target, self.logs = (self.folder / part for part in ("tree", "target", "logs"))

    def open(self):
        """Updates the copy; unchanged files keep their times, so that they aren't rebuilt."""
        for folder in (self.tree, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Broken("another run is under way") from None
        listing = ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, check=True, capture_output=True).stdout.decode()
        wanted = {name for name in listed.split("\0") if name and (self.root / name).is_file()}
        for path in sorted(self.tree.rglob("*")):
            if path.is_file() and not path.is_symlink() and str(path.relative_to(self.tree)) not in wanted:
                path.unlink()
        fresh = not (self.target / "ci").exists()
        for name in wanted:
            source, copy = self.root / name, self.tree / name
            if not (copy.is_file() and filecmp.cmp(source, copy, shallow=False)):
                copy.parent.mkdir(parents=True, exist_ok=True)
                # The build is as old as the tree's files, so from now on a file that differs has changed.
                (shutil.copy2 if fresh else shutil.copy)(source, copy)
        # Binaries of the servers are shared, as by all runs of tests.
        shared = self.tree / ".flotilla"
        if not shared.is_symlink():
            shared.symlink_to(self.root / ".flotilla", target_is_directory=True)
        if fresh:
            self.seed(self.root / "target" / "ci", self.target / "ci")

    @staticmethod
    def seed(source, target):
        """Takes over the tree's build except programs: most of it would be the same."""
        (target / "deps").mkdir(parents=True)
        for part in (".fingerprint", "build"):
            if (source / part).is_dir():
                shutil.copytree(source / part, target / part, symlinks=True)
        for path in (source / "deps").glob("*"):
            if path.is_file() and path.suffix in (".rlib", ".rmeta", ".so", ".d"):
                shutil.copy2(path, target / "deps" / path.name)

    def cargo(self, *arguments):
        """Runs `cargo test`; no status if it timed out. Everything that it started ends with it."""
        command = [os.environ.get("CARGO", "cargo"), "test", "--profile", "ci", "--locked", *arguments]
        environment = {**os.environ, "CARGO_TARGET_DIR": str(self.target), "CARGO_TERM_COLOR": "never"}
        output = self.folder / "output"
        with open(output, "wb") as sink:
            process = subprocess.Popen(
                command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                start_new_session=True,
            )
            try:
                status = process.wait(self.limit)
            except BaseException as stopped:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(stopped, subprocess.TimeoutExpired):
                    raise
                status = None
        return Run(status, output.read_text(encoding="utf-8", errors="replace"))

    def test(self, arguments):
        """Builds, then runs, so that failures of the two are distinguished. Returns what failed before any test ran."""
        words = shlex.split(arguments)
        built = self.cargo("--no-run", *words)
        if built.status != 0:
            return built, "doesn't compile" if built.status is not None else "wasn't built in time"
        run = self.cargo(*words)
        if run.status is None:
            return run, f"the test did not end within {self.limit} s"
        if run.status == 0 and not run.tests("ok"):
            return run, "no test ran"
        return run, None

    def plant(self, fault):
        """Plants a fault, tests, and removes it. Returns the tests that found it, and what went wrong."""
        path = self.tree / fault.file
        sound = path.read_text(encoding="utf-8")
        path.write_text(sound.replace(fault.find, fault.replace), encoding="utf-8")
        try:
            run, wrong = self.test(fault.test)
        finally:
            path.write_text(sound, encoding="utf-8")
        failed = run.tests("FAILED")
        if wrong is None and not failed:
            wrong = "no test finds it" if run.status == 0 else "cargo failed, but none of its tests"
        if wrong is not None:
            (self.logs / f"{fault.name}.log").write_text(run.output, encoding="utf-8")
        return failed, wrong


def say(text):
    """Prints one line and flushes it."""
    print(f"mutants: {text}", flush=True)


def sound(room, faults):
    """Runs each test without a fault: it must run and pass. Returns the arguments of those that don't."""
    bad = {}
    tests = dict.fromkeys(fault.test for fault in faults)
    for number, test in enumerate(tests, start=1):
        run, wrong = room.test(test)
        if wrong is None and run.status != 0:
            wrong = "it fails without a fault"
        if wrong is not None:
            bad[test] = wrong
            (room.logs / f"sound-{number}.log").write_text(run.output, encoding="utf-8")
            say(f"cargo test {test}: {wrong}; see {room.logs}/sound-{number}.log")
    return bad


def plant_all(room, faults):
    """Plants all; returns the names of those that no test found."""
    faults = sorted(faults, key=lambda fault: (fault.crate(), fault.test))
    began = time.monotonic()
    bad = sound(room, faults)
    say(f"{len(faults)} faults; their tests are run without them ({time.monotonic() - began:.0f} s)")
    lost = []
    for fault in faults:
        if fault.test in bad:
            lost.append(fault.name)
            say(f"{fault.name}: NOT TRIED, as {bad[fault.test]}")
            continue
        began = time.monotonic()
        found, wrong = room.plant(fault)
        took = f"{time.monotonic() - began:.0f} s"
        if wrong is None:
            say(f"{fault.name}: found by {', '.join(sorted(found))} ({took})")
        else:
            lost.append(fault.name)
            say(f"{fault.name}: NOT FOUND: {wrong} ({took}); see {room.logs}/{fault.name}.log")
    return lost


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--short", action="store_true", help="only the faults that are marked short")
    parser.add_argument("--only", metavar="TEXT", help="only the faults whose names contain this")
    parser.add_argument("--check", action="store_true", help="only see whether each fault can be planted")
    parser.add_argument("--least", type=int, default=40, help="how many faults there must be")
    parser.add_argument("--least-short", type=int, default=10, help="how many of them must be marked short")
    parser.add_argument("--limit", type=int, default=900, help="seconds that a build or a test may take")
    asked = parser.parse_args()
    root = pathlib.Path.cwd()
    faults, problems = read(root / "scripts" / "test" / "mutants")
    problems += misplaced(root, faults)
    short = [fault for fault in faults if fault.short]
    for kind, some, least in (("", faults, asked.least), (" short", short, asked.least_short)):
        if len(some) < least:
            problems.append(f"there are {len(some)}{kind} faults, fewer than {least}")
    for problem in problems:
        say(problem)
    if problems:
        return 2
    if asked.check:
        say(f"each of {len(faults)} faults can be planted, {len(short)} of them are short")
        return 0
    chosen = [fault for fault in (short if asked.short else faults) if asked.only is None or asked.only in fault.name]
    if not chosen:
        say("no fault has such a name")
        return 2
    room = Room(root, asked.limit)
    try:
        room.open()
    except Broken as error:
        say(str(error))
        return 2
    lost = plant_all(room, chosen)
    say(f"{len(chosen) - len(lost)} of {len(chosen)} faults are found" + (f"; not: {', '.join(lost)}" if lost else ""))
    return 1 if lost else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
