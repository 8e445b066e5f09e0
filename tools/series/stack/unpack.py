# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's tar archive, on standard input, into a git repository (GIT_DIR) as one
commit, without unpacking it to files: the same archive, the same hash. Prints the
commit. For tools/series/source.
"""

import re
import subprocess
import sys
import tarfile

from .repo import PLAIN
from .util import Progress, die, disk_trouble, setting


def version(makefile):
    """As the top Makefile says it, or None."""
    found = {}
    for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION"):
        m = re.search(rf"^{key} *= *(\S*) *$", makefile, re.M)
        found[key] = m[1] if m else ""
    if not found["VERSION"]:
        return None
    return "{VERSION}.{PATCHLEVEL}.{SUBLEVEL}{EXTRAVERSION}".format(**found)


def unpack(_args):
    import os
    env = {**os.environ, **PLAIN}
    p = subprocess.Popen(["git", "-c", "core.compression=1", "-c", "pack.compression=1", "fast-import", "--quiet", "--depth=0", "--done"],
                         stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        feed(p.stdin)
    except BrokenPipeError:
        pass
    except (tarfile.TarError, EOFError) as e:
        p.kill()
        die(f"not a whole archive: {e}")
    except BaseException:
        p.kill()
        raise
    err = p.communicate()[1].decode(errors="replace")
    if p.returncode:
        die(disk_trouble(err, setting("CACHE", "the cache")) or f"git fast-import: {err.strip().splitlines()[:1]}")
    print(subprocess.run(["git", "rev-parse", "refs/tags/base"], env=env, capture_output=True, text=True, check=True).stdout.strip())


def feed(out):
    tar = tarfile.open(fileobj=sys.stdin.buffer, mode="r|", bufsize=1 << 20)
    progress = Progress("importing", 95000)
    tree, makefile, date = [], None, 0
    for n, m in enumerate(tar, 1):
        progress.step()
        _, _, path = m.name.removeprefix("./").partition("/")
        if not path or not (m.isfile() or m.issym() or m.islnk()):
            continue
        if m.issym():
            data, mode = m.linkname.encode(), "120000"
        else:
            data, mode = tar.extractfile(m).read(), "100755" if m.mode & 0o100 else "100644"
        if len(data) < m.size:
            raise EOFError(f"{m.name} is cut short")
        if path == "Makefile":
            makefile, date = data.decode(), int(m.mtime)
        name = path if not re.search(r'["\n\\]', path) else '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
        out.write(f"blob\nmark :{n}\ndata {len(data)}\n".encode() + data + b"\n")
        tree.append(f"M {mode} :{n} {name}\n")
    v = version(makefile or "")
    if not v:
        raise EOFError("it has no kernel's Makefile")
    who = f"base <base@localhost> {date} +0000"
    text = f"Linux {v}\n"
    out.write(f"commit refs/tags/base\nauthor {who}\ncommitter {who}\ndata {len(text)}\n{text}".encode())
    out.write("".join(tree).encode() + b"\ndone\n")
    out.flush()
