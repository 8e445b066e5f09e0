# SPDX-License-Identifier: GPL-2.0-only
"""patches/<base>/base, after its topics were moved to another kernel."""

import fnmatch
import re


def set_key(text, key, value):
    """key=value, in place if it is there, at the end otherwise; quoted if it must be."""
    line = f'{key}="{value}"' if " " in value else f"{key}={value}"
    new, n = re.subn(rf"^{key}=.*$", lambda _: line, text, count=1, flags=re.M)
    return new if n else text.rstrip("\n") + f"\n{line}\n"


def moved_base(text, new):
    """The text for a kernel as tools/series/source describes it, and what to say."""
    version, said = new["version"], []
    keys = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.M))
    tag = new.get("tag") or "v" + re.sub(r"\.0(?=-|$)", "", version)
    text = set_key(text, "tag", tag)
    text = set_key(text, "commit", new["commit"] if new.get("upstream") == "1" else "")
    if new.get("upstream") != "1":
        said.append(f"the commit of {tag} is not known: fill in commit= of the base file, or give a git tree that has the tag")
    if not any(fnmatch.fnmatchcase(version, p) for p in keys.get("versions", "").split()):
        text = set_key(text, "versions", version)
    series = ".".join(version.split(".")[:2])
    package = re.sub(r"\blinux-source-\d+\.\d+\b", f"linux-source-{series}", keys.get("package", ""))
    if package != keys.get("package", ""):
        text = set_key(text, "package", package)
    if keys.get("version"):
        text = re.sub(r"^version=.*\n", "", text, flags=re.M)
        said.append(f"version={keys['version']} is gone from the base file: say which package has {version}, if one does")
    return text, said
