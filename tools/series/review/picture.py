# SPDX-License-Identifier: GPL-2.0-only
"""results/<base>.svg: the time from the yank to gone, base and series."""

import html

from .results import SIDES, cell, parts, words

LIMIT, AXIS = 1.0, 2.0      # seconds: the lab's limit, the picture's end


def escape(text):
    return html.escape(str(text), quote=True)


# Twice, as what draws SVG outside of browsers has no variables.
STYLE = """
.r{--ink:#1f2328;--dim:#59636e;--rule:#d1d9e0;--paper:#ffffff;--band:#f6f8fa;
--base:#c2570c;--series:#0b6bcb;--bad:#b3261e}
@media (prefers-color-scheme:dark){.r{--ink:#e6edf3;--dim:#9aa5b1;
--rule:#3d444d;--paper:#0d1117;--band:#161b22;--base:#f0883e;--series:#58a6ff;
--bad:#ff7b72}}
.r text{font:10px system-ui,sans-serif;fill:#1f2328;fill:var(--ink)}
.r .d{font-weight:600}.r .n{font-size:9px;fill:#59636e;fill:var(--dim)}
.r .e{fill:#b3261e;fill:var(--bad)}.r .p{fill:#ffffff;fill:var(--paper)}
.r .b{fill:#c2570c;fill:var(--base)}.r .s{fill:#0b6bcb;fill:var(--series)}
.r .l{stroke:#d1d9e0;stroke:var(--rule)}
.r .m{stroke:#59636e;stroke:var(--dim);stroke-dasharray:2 2}
"""
# A cell, of which BAR are AXIS seconds; PER cells side by side
COLUMN, ROW, LEFT, BAR, BAR_H, PER = 92, 34, 92, 50, 9, 9


def bar(x, y, entry, side):
    """What a cell shows of one side: a bar, open at its end if it goes on"""
    text = words(entry)
    if not text:
        return ""
    kind, gone = side[0], entry[1] if entry[0] != "skip" else None
    failed = entry[0] == "fail"
    out = ""
    if text == "never" or gone and gone > AXIS:
        out = (f'<path class="{kind}" d="M{x} {y}h{BAR - 6}l6 {BAR_H / 2}'
               f'l-6 {BAR_H / 2}h{6 - BAR}z"/>')
    elif gone is not None:
        end = max(gone / AXIS * BAR, 1)
        out = (f'<rect class="{kind}" x="{x}" y="{y}" width="{end:.1f}" '
               f'height="{BAR_H}"/>')
    mark = ' class="n e"' if failed and text != "never" else ' class="n"'
    return out + f'<text{mark} x="{x + BAR + 4}" y="{y + 8}">{text}</text>'


def picture(data):
    """Cells of two bars each, devices downward, scenarios across"""
    body, y, widest = [], 46, 0
    for rows, part in parts(data, PER):
        widest = max(widest, len(part))
        for i, s in enumerate(part):
            body.append(f'<text class="d" x="{LEFT + i * COLUMN}" '
                        f'y="{y + 12}">{escape(s)}</text>')
        top = y + 20
        for j, d in enumerate(rows):
            ry = top + j * ROW
            body.append(f'<path class="l" d="M0 {ry - 2}H'
                        f'{LEFT + len(part) * COLUMN}"/>'
                        f'<text class="d" x="4" y="{ry + 17}">'
                        f'{escape(d)}</text>')
            for i, s in enumerate(part):
                x = LEFT + i * COLUMN
                for k, side in enumerate(SIDES):
                    body.append(bar(x, ry + 4 + k * (BAR_H + 3),
                                    cell(data, d, s, "ones", side), side))
                if any(cell(data, d, s, "ones", side) for side in SIDES):
                    lx = x + LIMIT / AXIS * BAR
                    body.append(f'<path class="m" d="M{lx} {ry + 1}'
                                f'v{ROW - 5}"/>')
        y = top + len(rows) * ROW + 10
    width = max(LEFT + widest * COLUMN, 560)    # the legend
    about = data["about"]
    legend = (
        f'<rect class="b" x="4" y="8" width="20" height="{BAR_H}"/>'
        f'<text x="28" y="16">base {escape(about["base"]["what"])}</text>'
        '<rect class="s" x="360" y="8" width="20" '
        f'height="{BAR_H}"/><text x="384" y="16">with the '
        'series</text>'
        f'<text class="n" x="4" y="29">Seconds from the yank until the device '
        f'has left sysfs; dashed: {LIMIT:g} s, the limit; an arrow goes on '
        f'beyond {AXIS:g} s;</text>'
        '<text class="n" x="4" y="41">never: not within 12 s, the hotplug '
        'thread hangs; !: gone, but another check failed</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="r" role="img" '
            f'viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
            f'<title>Time from the yank to gone, base and series</title>'
            f'<style>{STYLE}</style>'
            f'<rect width="{width}" height="{y}" class="p"/>'
            f'{legend}{"".join(body)}</svg>\n')
