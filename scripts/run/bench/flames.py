#!/usr/bin/env python3
"""Draws flame graphs from what `perf script -F comm,pid,ip,sym` prints on standard input: one for each process.

    flames.py FOLDER NAME=PID[,PID...]...

A bar is a function, as wide as its share of the process's samples, above its caller (Brendan Gregg, "The Flame Graph",
Communications of the ACM 59(6), 2016). Functions with less than 0.4% are left out, and runtime frames below the first of
our own or of the libraries are folded, so that a picture stays readable and small.
"""

import pathlib
import re
import sys
from xml.sax.saxutils import escape

LEAST = 0.004
WIDTH = 1200
ROW = 17
DEEPEST = 48
# Frames that every stack of an async program has, and that say nothing.
DULL = re.compile(
    r"^(tokio::runtime|std::(sys|rt|panic)|core::(ops::function|panic|pin|future)|<core::(panic|pin|future)|"
    r"<?tracing::instrument|clone3|start_thread|__libc_start|_start|main$|\[unknown\]|<tokio::(task|runtime)|alloc::boxed)")
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #1f2328; pointer-events: none; }
  .title { font-size: 14px; font-weight: 600; }
  @media (prefers-color-scheme: dark) { .title { fill: #e6edf3; } }
"""


class Frame:
    """A function under its callers, with the samples in it and in what it calls."""

    def __init__(self):
        self.samples = 0
        self.callees = {}

    def add(self, stack):
        frame = self
        frame.samples += 1
        for name in stack:
            frame = frame.callees.setdefault(name, Frame())
            frame.samples += 1


def short(name):
    """A function's name without hash and offset, generics kept short."""
    name = re.sub(r"\+0x[0-9a-f]+$", "", name)
    name = re.sub(r"::h[0-9a-f]{16}$", "", name).replace("{{closure}}", "{}")
    return name if len(name) <= 140 else name[:139] + "…"


def stacks(lines):
    """Yields (pid, stack from the outermost caller inwards)."""
    pid, stack = None, []
    for line in lines:
        if not line.strip():
            if pid is not None and stack:
                yield pid, [name for name in reversed(stack) if not DULL.match(name)]
            pid, stack = None, []
        elif not line[0].isspace() or pid is None:
            found = re.search(r"\s(\d+)\s*$", line)
            pid, stack = (int(found[1]) if found else None), []
        else:
            name = line.strip().partition(" ")[2]
            stack.append(short(name or "[unknown]"))


def colour(name):
    """Ours, libraries, the kernel and C: by the name's form."""
    if "flotilla" in name:
        return "#f0883e"
    if "::" in name:
        return "#e3b341"
    return "#8b949e"


def draw(name, root):
    """The picture."""
    bars, deepest = [], 0

    def visit(frame, x, depth):
        nonlocal deepest
        for callee, inner in sorted(frame.callees.items(), key=lambda item: -item[1].samples):
            share = inner.samples / root.samples
            if share >= LEAST and depth < DEEPEST:
                bars.append((callee, x, depth, share, inner.samples))
                deepest = max(deepest, depth)
                visit(inner, x, depth + 1)
            x += share * WIDTH

    visit(root, 0.0, 0)
    height = (deepest + 1) * ROW + 34
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
           f"<title>Flame graph of {escape(name)}</title><style>{STYLE}</style>",
           f'<text class="title" x="2" y="18">{escape(name)}: {root.samples:,} samples</text>']
    for callee, x, depth, share, _ in bars:
        y, width = height - (depth + 1) * ROW - 2, share * WIDTH
        label = callee if len(callee) * 5.6 < width else callee[:int(width / 5.6)]
        text = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(label)}</text>' if len(label) > 3 else ""
        out.append(f'<g><title>{escape(callee)} {share:.1%}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" '
                   f'height="{ROW - 1}" rx="2" fill="{colour(callee)}"/>{text}</g>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    folder = pathlib.Path(sys.argv[1])
    owners, roots = {}, {}
    for given in sys.argv[2:]:
        name, _, pids = given.partition("=")
        roots[name] = Frame()
        owners.update({int(pid): name for pid in pids.split(",") if pid})
    for pid, stack in stacks(sys.stdin):
        if pid in owners:
            roots[owners[pid]].add(stack)
    for name, root in roots.items():
        if root.samples == 0:
            sys.exit(f"flames: no samples of {name}")
        (folder / f"flame-{name}.svg").write_text(draw(name, root))
        print(f"flames: {name}: {root.samples:,} samples")


if __name__ == "__main__":
    main()
