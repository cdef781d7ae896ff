"""The dashboard of deploy/grafana, drawn: its rows and panels in their places, with what its own
queries find in a Prometheus. Grafana itself is not part of it."""

import html
import json
import re
import time
import urllib.parse
import urllib.request

from units import said, ticks

WIDTH, UNIT, GAP, HEAD = 1280, 35, 8, 40
SCRAPE, STEP = 2, 2
RATE = f"{max(STEP + SCRAPE, 4 * SCRAPE)}s"
PALETTE = ["#7eb26d", "#eab839", "#3fb8d0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300"]
NAMED = {"green": "#3f9c4a", "orange": "#e08020", "red": "#d43f4c", "blue": "#2f74c8"}
STYLE = """
svg { --ground: #f4f5f5; --panel: #ffffff; --edge: #dcdee1; --text: #24292e; --dim: #646b75; --grid: #e8eaec }
@media (prefers-color-scheme: dark) {
  svg { --ground: #111217; --panel: #181b1f; --edge: #2b2e35; --text: #d8d9da; --dim: #979ba3; --grid: #26292f }
}
text { fill: var(--text); font: 11px Inter, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif }
.dim { fill: var(--dim) } .title { font-size: 13px; font-weight: 500 } .row { font-size: 15px; font-weight: 600 }
.panel { fill: var(--panel); stroke: var(--edge) } .grid { stroke: var(--grid) } .mark { stroke: var(--dim); stroke-dasharray: 4 3 }
.on { fill: #ffffff } .code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.empty { fill: var(--dim); font-size: 13px }
"""


def text(x, y, words, kind="", anchor="", more=""):
    kind = f' class="{kind}"' if kind else ""
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{anchor}{more}>{html.escape(words)}</text>'


def wide(words):
    """About how many pixels it takes, on the safe side."""
    return 6.4 * len(words)


class Prometheus:
    """Asks about the time that the picture shows."""

    def __init__(self, address, begin, end):
        self.address, self.begin, self.end = address, begin, end

    def ask(self, path, **asked):
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(asked)}") as answer:
            return json.load(answer)["data"]

    def series(self, panel):
        """What a panel's queries find: (name, [(time, value)])."""
        found = []
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", RATE).replace("$instance", ".*")
            if target.get("instant"):
                one = self.ask("query", query=query, time=self.end)["result"]
                answers = [(each["metric"], [each["value"]]) for each in one]
            else:
                all_of = self.ask("query_range", query=query, start=self.begin, end=self.end, step=STEP)["result"]
                answers = [(each["metric"], each["values"]) for each in all_of]
            for labels, points in answers:
                name = re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), target["legendFormat"])
                points = [(at, float(value)) for at, value in points]
                found.append((name, [(at, value) for at, value in points if value == value]))
        return [(name, points) for name, points in found if points]


def colour_of(value, defaults):
    steps = defaults.get("thresholds", {}).get("steps", [])
    fitting = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return NAMED[fitting[-1]] if fitting else NAMED["blue"]


def stat(panel, series, box):
    """Large values on the colour of their bounds, beside each other."""
    x, y, width, height = box
    defaults, mode = panel["fieldConfig"]["defaults"], panel["options"]["textMode"]
    out = []
    for n, (name, points) in enumerate(series or [("", [])]):
        part = width / max(1, len(series))
        if not points:
            value, shown, colour = None, defaults.get("noValue", "No data"), "var(--panel)"
        else:
            value = points[-1][1]
            mapped = next((one["options"].get(f"{value:g}") for one in defaults.get("mappings", [])), None)
            shown = mapped["text"] if mapped else said(value, defaults["unit"], defaults.get("decimals"))
            shown = name if mode == "name" else shown
            colour = NAMED[mapped["color"]] if mapped else colour_of(value, defaults)
        at, on = x + n * part, "" if value is None else "on"
        out.append(f'<rect x="{at + 1:.1f}" y="{y:.1f}" width="{part - 2:.1f}" height="{height:.1f}" rx="3" fill="{colour}"/>')
        below = mode == "value_and_name" and name
        size = min(34, 1.55 * part / max(1, len(shown)), 22 if below else 34)
        middle = y + height / 2 + size / 3 - (8 if below else 0)
        out.append(text(at + part / 2, middle, shown, on, "middle", f' style="font-size:{size:.0f}px;font-weight:600"'))
        if below:
            out.append(text(at + part / 2, middle + 20, name, on, "middle"))
    return out


def bars(panel, series, box):
    x, y, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    each, names = height / max(1, len(series)), max(wide(name) for name, _ in series) + 8
    room = width - names - 50
    out = []
    for n, (name, points) in enumerate(series):
        value, top, thick = points[-1][1], y + n * each, each * 0.6
        out.append(text(x + names - 8, top + each / 2 + 1, name, "", "end"))
        for share, colour in [(1, "var(--grid)"), (min(1, value), colour_of(value, defaults))]:
            out.append(
                f'<rect x="{x + names:.1f}" y="{top + (each - thick) / 2 - 3:.1f}" width="{room * share:.1f}"'
                f' height="{thick:.1f}" rx="2" fill="{colour}"/>'
            )
        out.append(text(x + width, top + each / 2 + 1, said(value, defaults["unit"]), "", "end"))
    return out


def words(panel, box):
    """Markdown, as much of it as there is: paragraphs, lists, `code`."""
    x, y, width, _ = box
    out, line_y = [], y + 6
    for paragraph in filter(None, panel["options"]["content"].split("\n")):
        indent = 14 if paragraph.startswith("- ") else 0
        if indent:
            out.append(f'<circle cx="{x + 5}" cy="{line_y:.1f}" r="2" style="fill:var(--text)"/>')
        line, code = "", False
        for word in paragraph.removeprefix("- ").split():
            if wide(line.replace("`", "") + word) * 0.93 > width - indent:
                out.append(spans(x + indent, line_y + 4, line, code))
                code ^= line.count("`") % 2
                line, line_y = "", line_y + 16
            line += f" {word}" if line else word
        out.append(spans(x + indent, line_y + 4, line, code))
        line_y += 16 + (0 if indent else 6)
    return out


def spans(x, y, line, code):
    parts = []
    for part in line.split("`"):
        parts.append(f'<tspan class="code">{html.escape(part)}</tspan>' if code else html.escape(part))
        code = not code
    return f'<text x="{x:.1f}" y="{y:.1f}">{"".join(parts)}</text>'


def legend(series, box):
    """The names below the plot, in as many lines as they need: what is drawn, and how high that is."""
    x, y, width, height = box
    lines, at = [[]], x
    for n, (name, _) in enumerate(series):
        if at + wide(name) + 24 > x + width and lines[-1]:
            lines.append([])
            at = x
        lines[-1].append((at, name, PALETTE[n % len(PALETTE)]))
        at += wide(name) + 26
    out = []
    for n, line in enumerate(lines):
        line_y = y + height - 15 * (len(lines) - 1 - n)
        for at, name, colour in line:
            out.append(f'<rect x="{at:.1f}" y="{line_y - 5:.1f}" width="12" height="3" rx="1" fill="{colour}"/>')
            out.append(text(at + 16, line_y, name))
    return out, 15 * len(lines)


def stacked(series, moments):
    """Each on top of the ones before it; who has no value adds nothing."""
    below, out = dict.fromkeys(moments, 0.0), []
    for name, points in series:
        values = dict(points)
        above = {at: below[at] + values.get(at, 0.0) for at in moments}
        out.append((name, sorted(above.items()), sorted(below.items())))
        below = above
    return out


def pieces(points):
    """Cut where there is nothing for a while."""
    piece = []
    for at, value in points:
        if piece and at - piece[-1][0] > 1.5 * STEP:
            yield piece
            piece = []
        piece.append((at, value))
    yield piece


def plot(panel, series, box, asked, marks):
    x, y, width, height = box
    if not series:
        return [text(x + width / 2, y + height / 2, "No data", "empty", "middle")]
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    moments = sorted({at for _, points in series for at, _ in points})
    if "stacking" in custom:
        lines = stacked(series, moments)
    else:
        lines = [(name, points, None) for name, points in series]
    out, used = legend(series, box)
    largest = max([value for _, points, _ in lines for _, value in points] + [defaults.get("max", 0)])
    scale = ticks(largest or 1, defaults["unit"])
    left = x + max(wide(label) for _, label in scale) + 4
    right, bottom, top = x + width - 4, y + height - used - 22, y + 4
    span = asked.end - asked.begin

    def place(at, value):
        return left + (right - left) * (at - asked.begin) / span, bottom - (bottom - top) * value / scale[-1][0]

    for value, label in scale:
        _, at = place(asked.begin, value)
        out.append(f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>')
        out.append(text(left - 6, at + 4, label, "dim", "end"))
    for at in range(int(asked.begin // 60 + 1) * 60, int(asked.end), 60):
        out.append(text(place(at, 0)[0], bottom + 15, time.strftime("%H:%M", time.gmtime(at)), "dim", "middle"))
    out += [f'<path class="mark" d="M{place(at, 0)[0]:.1f} {top:.1f}V{bottom:.1f}"/>' for at in marks]
    for n, (_, points, floor) in enumerate(lines):
        colour = PALETTE[n % len(PALETTE)]
        for piece in pieces(points):
            line = [place(*point) for point in piece]
            base = [place(at, value) for at, value in floor if piece[0][0] <= at <= piece[-1][0]] if floor else [
                (line[0][0], bottom), (line[-1][0], bottom)]
            out.append(path(line + base[::-1], f'fill="{colour}" fill-opacity="{custom["fillOpacity"] / 100}"', "Z"))
            out.append(path(line, f'fill="none" stroke="{colour}" stroke-width="1.5"'))
    return out


def path(points, look, end=""):
    along = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{along}{end}" {look}/>'


def panel_as_svg(panel, y, asked, marks):
    place, column = panel["gridPos"], (WIDTH - GAP) / 24
    left, width = GAP + place["x"] * column, place["w"] * column - GAP
    height = place["h"] * UNIT - GAP
    out = [
        f'<rect class="panel" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>',
        text(left + 10, y + 19, panel["title"], "title"),
    ]
    box = (left + 10, y + 32, width - 20, height - 42)
    if panel["type"] == "text":
        return out + words(panel, box)
    series = asked.series(panel)
    match panel["type"]:
        case "stat":
            return out + stat(panel, series, (left + 2, y + 28, width - 4, height - 31))
        case "bargauge":
            return out + bars(panel, series, box)
        case "timeseries":
            return out + plot(panel, series, box, asked, marks)
        case other:
            raise SystemExit(f"{panel['title']}: panels of the kind {other} are not drawn")


def row_as_svg(panel, y, is_open, count):
    sign = "M12 {0}l5 6l5 -6" if is_open else "M14 {0}l6 5l-6 5"
    out = [f'<path d="{sign.format(y + 12)}" fill="none" style="stroke:var(--text)"/>']
    closed = "" if is_open else f'<tspan class="dim" dx="10" style="font-size:11px;font-weight:400">({count} panels)</tspan>'
    out.append(f'<text x="32" y="{y + 21}" class="row">{html.escape(panel["title"])}{closed}</text>')
    return out


def as_svg(board, asked, marks, rows):
    """`marks`: [(time, words)]. So many rows are open, and the rest are closed."""
    out, row, y, height = [], 0, 0, 0
    panels, times = board["panels"], [at for at, _ in marks]
    heads = [n for n, panel in enumerate(panels) if panel["type"] == "row"] + [len(panels)]
    for n, panel in enumerate(panels):
        if panel["type"] == "row":
            row += 1
            y = HEAD + (panel["gridPos"]["y"] * UNIT if row <= rows + 1 else y + UNIT - HEAD)
            out += row_as_svg(panel, y, row <= rows, heads[row] - n - 1)
            height = y + UNIT + GAP
        elif row <= rows:
            height = HEAD + (panel["gridPos"]["y"] + panel["gridPos"]["h"]) * UNIT
            out += panel_as_svg(panel, HEAD + panel["gridPos"]["y"] * UNIT, asked, times)
    clock = "  ·  ".join(f"┆ {time.strftime('%H:%M:%S', time.gmtime(at))} {said}" for at, said in marks)
    head = text(12, 26, board["title"], "row") + text(WIDTH - GAP, 26, f"{clock}  (UTC)", "dim", "end")
    ground = '<rect width="100%" height="100%" style="fill:var(--ground)"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return "\n".join([opening, f"<style>{STYLE}</style>", ground, head, *out, "</svg>\n"])
