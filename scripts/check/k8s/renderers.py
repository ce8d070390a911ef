"""Checks that every supported kustomize renders the same, and that each value of values.yaml is used.

    python renderers.py FOLDER NEWEST OTHER...

Each program is a command in one argument, such as "kubectl kustomize" or "kustomize build". The overlays are compared
as they are, and every combination of combinations.py with other values: a value that equals the one it replaces would hide
a replacement that one version makes and another doesn't.
"""

import difflib
import os
import re
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from combinations import COMBINATIONS, OVERLAYS, render, write
from manifests import ROOT

SHOWN_LINES = 20


def other(number, key, value):
    """Another value of the same form, which no manifest contains by itself."""
    if key == "tag":
        return f"{number}.{number + 1}.{number + 2}"
    if re.fullmatch(r"[\d.]+/\d+", value):
        return f"10.{number % 256}.0.0/16"
    if re.fullmatch(r"\d+(m|Mi|Gi)?", value):
        return re.sub(r"^\d+", str(number), value)
    return f"other-{number}.example.org" + ("/fleet" if "/" in value else "")


def with_other_values(folder):
    """Kustomizations of all combinations with every value changed: (place, values) by name."""
    made = {}
    for name, (overlay, instead, added, values) in COMBINATIONS.items():
        own = yaml.safe_load((ROOT / f"k8s/overlays/{overlay}/values.yaml").read_text(encoding="utf-8"))["data"]
        # Each differs from the previous one by more than a tag's parts do.
        given = {key: other(3001 + 10 * at, key, value) for at, (key, value) in enumerate((own | values).items())}
        place = folder / "other-values" / name
        write(place, overlay, instead, added, given)
        made[name] = (place, given)
    return made


def used(values, text):
    """The keys of values.yaml whose values occur in the rendered text."""
    return {key for key, value in values.items() if re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", text)}


def difference(newest, told):
    """The first lines that differ, ignoring order and spelling."""
    if newest == told:
        return None
    parsed = [
        sorted((one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one), key=identity)
        for text in (newest, told)
    ]
    if parsed[0] == parsed[1]:
        return None
    texts = [yaml.dump_all(objects, Dumper=yaml.CSafeDumper).splitlines() for objects in parsed]
    return "\n".join([*difflib.unified_diff(*texts, "newest", "this one", lineterm="", n=1)][:SHOWN_LINES])


def identity(one):
    return one["apiVersion"], one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def main():
    folder = Path(sys.argv[1]).resolve()
    newest, *others = [shlex.split(command) for command in sys.argv[2:]]
    shutil.rmtree(folder / "other-values", ignore_errors=True)
    made = with_other_values(folder)
    texts = {place: render(newest, place) for place, _ in made.values()}
    # A component that is replaced by another leaves its values unused, but not in every combination.
    known = set().union(*(values for _, values in made.values()))
    somewhere = set().union(*(used(values, texts[place]) for place, values in made.values()))
    problems = [f"values.yaml: {key} changes nothing" for key in sorted(known - somewhere)]
    for overlay in OVERLAYS:
        place = ROOT / "k8s/overlays" / overlay
        texts[place] = render(newest, place)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(program, place) for program in others for place in texts]
        for (program, place), told in zip(jobs, pool.map(lambda job: render(*job), jobs), strict=True):
            found = difference(texts[place], told)
            if found:
                problems.append(f"{' '.join(program)} renders {place.relative_to(ROOT)} otherwise:\n{found}")
    if problems:
        sys.exit("\n".join(problems))
    print(f"renderers: {len(others)} other programs render {len(texts)} kustomizations as the newest does")


if __name__ == "__main__":
    main()
