"""The chart: bars in SVG, drawn with nothing but text, in colours that are read on light and on dark."""

import statistics

# Of equal lightness, told apart by the colour-blind, too; the gate's own is the strongest.
COLOURS = {"nginx": "#8d99ae", "haproxy": "#5aa9a3", "envoy": "#c08bbf", "tidegate": "#e07a3f"}
WIDTH, LABEL, BAR, GAP = 860, 260, 13, 14
# Room for what is written beside the longest bar.
BESIDE = 220
TEXT = "#7d8590"


def text(x, y, words, anchor="start", size=12, weight="normal"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
        f' fill="{TEXT}">{words}</text>'
    )


def bars(y, title, groups):
    """Groups of bars with a title: (label, [(proxy, value, what is written beside it)])."""
    drawn = [text(0, y + 14, title, size=14, weight="bold")]
    y += 30
    most = max(value for _, one in groups for _, value, _ in one)
    for label, one in groups:
        drawn.append(text(LABEL - 10, y + len(one) * BAR / 2 + 4, label, "end"))
        for proxy, value, said in one:
            width = max(1, value / most * (WIDTH - LABEL - BESIDE))
            colour = COLOURS[proxy.split(",")[0]]
            drawn.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" rx="2" fill="{colour}"/>')
            drawn.append(text(LABEL + width + 5, y + BAR - 3, f"{said}  {proxy}", size=10))
            y += BAR
        y += GAP
    return y + GAP, drawn


def draw(results, names, titles, variants):
    y, drawn = 8, []
    # A handshake costs so much that it has a scale of its own.
    for title, handshake in [("CPU µs a request", False), ("CPU µs a request with a TLS handshake", True)]:
        wanted = [name for name in names if ("tls-new" in name) == handshake and name in results["scenarios"]]
        if wanted:
            groups = [(titles[name], costs(results["scenarios"][name])) for name in wanted]
            y, more = bars(y, f"{title}: shorter is better", groups)
            drawn += more
    if "felt" in results:
        groups = [(f"flood of {times} × the app's capacity", felt(results["felt"], variants, times)) for times in ("10", "50")]
        y, more = bars(y, "What known users wait under a flood, p99 in ms: shorter is better", groups)
        drawn += more
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {WIDTH + 16} {y}" font-family="sans-serif" role="img">\n'
        f"<title>Tidegate beside nginx, HAProxy and Envoy</title>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def costs(rounds):
    medians = {proxy: statistics.median(one["cpu_us"] for one in all_of) for proxy, all_of in rounds.items()}
    return [(proxy, value, f"{value:.1f}") for proxy, value in medians.items()]


def felt(results, variants, times):
    found = []
    for variant in variants:
        rounds = results[variant][times]
        share = sum(one["served"] for one in rounds) / sum(one["asked"] for one in rounds)
        wait = statistics.median(one["p99"] for one in rounds)
        found.append((variant, wait, f"{wait:.0f}, {share:.0%} served"))
    return found
