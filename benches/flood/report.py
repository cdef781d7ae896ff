"""From rounds to tables: medians and ranges, into the documentation between markers."""

import datetime
import os
import pathlib
import re
import statistics

import chart
from felt import FLOODS, VARIANTS
from proxies import PROXIES
from scenarios import TITLES
from servers import ROOT

DOCUMENT, README, CHART = ROOT / "docs/performance.md", ROOT / "README.md", ROOT / "docs/flood.svg"
# What the README tells: the scenarios that decide.
SHORT = ["forward-small", "refuse-kept", "refuse-new", "refuse-tls-new", "drop-cap"]

NOTES = {
    ("nginx", "drop-block"): "nginx decides nothing before it has read a request's head.",
    ("nginx", "drop-cap"): "nginx decides nothing before it has read a request's head.",
    ("envoy", "drop-cap"): "Envoy has no cap of an address: this one is of all clients together.",
}


def machine():
    model = re.search(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "machine": f"{os.cpu_count()} cores of {model[1] if model else os.uname().machine}, Linux {os.uname().release.split('-')[0]}",
        "date": datetime.date.today().isoformat(),
        "load_average": round(os.getloadavg()[1], 1),
    }


def median(rounds, figure):
    return statistics.median(one[figure] for one in rounds)


def figures(results, name, proxy):
    return results.get("scenarios", {}).get(name, {}).get(proxy)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def head(first, cells):
    return [row([first, *cells]), row(["---", *["---:"] * len(cells)])]


def cost_table(results, names, notes):
    """CPU a request, and the gate's ratio to each peer: of the rounds, as each has one of both."""
    lines = head("CPU µs a request", [*PROXIES, *(f"of {peer}'s" for peer in list(PROXIES)[:-1])])
    for name in names:
        own = figures(results, name, "tidegate")
        if not own:
            continue
        cells, ratios = [], []
        for proxy in PROXIES:
            rounds = figures(results, name, proxy)
            cells.append(f"{median(rounds, 'cpu_us'):.1f}{mark(notes, proxy, name)}" if rounds else f"–{mark(notes, proxy, name)}")
            if proxy != "tidegate":
                ratios.append(ratio(own, rounds))
        lines.append(row([TITLES[name], *cells, *ratios]))
    return lines


def ratio(own, rounds):
    if not rounds:
        return "–"
    ratios = [ours["cpu_us"] / theirs["cpu_us"] for ours, theirs in zip(own, rounds)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def mark(notes, proxy, name):
    note = NOTES.get((proxy, name))
    if not note:
        return ""
    if note not in notes:
        notes.append(note)
    return f"<sup>{notes.index(note) + 1}</sup>"


def rate_table(results):
    """How much, how soon, and whether it was the proxy that was measured."""
    lines = head("", ["answered a second", "p50 ms", "p99 ms", "p99.9 ms", "proxy's core busy", "memory MiB"])
    for name in TITLES:
        for proxy in PROXIES:
            rounds = figures(results, name, proxy)
            if not rounds:
                continue
            waits = [f"{median(rounds, wait):.2f}" if wait in rounds[0] else "–" for wait in ("p50", "p99", "p999")]
            cells = [f"{median(rounds, 'per_second'):,.0f}", *waits, f"{median(rounds, 'busy'):.0%}"]
            lines.append(row([f"{TITLES[name]}: {proxy}", *cells, f"{median(rounds, 'memory_kib') / 1024:.0f}"]))
    return lines


def memory_table(results):
    lines = head("MiB", ["idle", "with a million clients", "grown by", "clients that had asked"])
    for proxy, one in results.get("memory", {}).items():
        idle, tracked = one["idle_kib"] / 1024, one["tracked_kib"] / 1024
        cells = [f"{idle:.0f}", f"{tracked:.0f}", f"{tracked - idle:.0f}", f"{one['clients']:,}"]
        lines.append(row([proxy, *cells]))
    return lines


def felt_table(results):
    """Users' waits, and whether the load was as meant: how late it began requests, what of the flood it sent."""
    names = ["flood", "served", "p50 ms", "p99 ms", "of the best without", "p99 begun late, ms", "flood sent a second", "of it served", "proxy's core busy"]
    lines = head("", names)
    for variant, floods in results.get("felt", {}).items():
        # What disturbs a calm round only adds to it, and would make a flood look good.
        calm = min(one["p99"] for one in floods["0"])
        for times in map(str, FLOODS):
            rounds = floods[times]
            asked, served = (sum(one[figure] for one in rounds) for figure in ("asked", "served"))
            cells = ["none" if times == "0" else f"{times} ×", f"{served / asked:.1%}"]
            cells += [f"{median(rounds, 'p50'):.1f}", f"{median(rounds, 'p99'):.1f}"]
            cells += ["–" if times == "0" else f"{median(rounds, 'p99') / calm:.2f}", f"{median(rounds, 'p99_late'):.1f}"]
            lines.append(row([variant, *cells, *flood_cells(rounds), f"{median(rounds, 'busy'):.0%}"]))
    return lines


def flood_cells(rounds):
    if "flood" not in rounds[0]:
        return ["–", "–"]
    floods = [one["flood"] for one in rounds]
    sent = statistics.median((one["due"] - one["held_back"]) / one["seconds"] for one in floods)
    return [f"{sent:,.0f}", f"{statistics.median(one['served'] / one['seconds'] for one in floods):,.0f}"]


def about(results):
    what = results["about"]
    versions = ", ".join(f"{name} {version}" for name, version in what["versions"].items())
    measured = [rounds for scenario in results.get("scenarios", {}).values() for rounds in scenario.values()]
    rounds = " or ".join(map(str, sorted({len(one) for one in measured})))
    seconds = " or ".join(map(str, sorted({one[0]["seconds"] for one in measured})))
    return (
        f"Measured on {what['date']}: {what['machine']}, shared with other programs (load average"
        f" {what['load_average']}); {versions}; medians of {rounds} alternated rounds of"
        f" {seconds} s, in brackets the range of the rounds' ratios."
    )


def table(results):
    notes = []
    lines = [about(results), "", *cost_table(results, TITLES, notes), ""]
    lines += [f"<sup>{number}</sup> {note}<br>" for number, note in enumerate(notes, 1)] + [""]
    if "memory" in results:
        lines += ["### Memory at a million clients", "", *memory_table(results), ""]
    if "felt" in results:
        rounds = len(next(iter(results["felt"].values()))["0"])
        lines += ["### What known users feel", "", f"Medians of {rounds} rounds of {results['felt_seconds']} s.", "", *felt_table(results), ""]
    lines += ["### Throughput and latency", "", *rate_table(results)]
    return "\n".join(lines)


def short(results):
    lines = [about(results), "", *cost_table(results, SHORT, []), "", "![CPU a request, and what users feel](docs/flood.svg)"]
    # Its notes are in the long table.
    return re.sub(r"<sup>\d+</sup>", "", "\n".join(lines))


def write(results):
    CHART.write_text(chart.draw(results, SHORT, TITLES, VARIANTS))
    between(DOCUMENT, table(results))
    between(README, short(results))


def between(path, text, name="flood", writer="make bench-flood"):
    start, end = f"<!-- {name}: written by {writer} -->", f"<!-- {name}: end -->"
    before, rest = path.read_text().split(start)
    path.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")
