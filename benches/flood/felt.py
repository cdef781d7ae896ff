"""What known users feel of a flood: 50 of them at a steady rate over an app of limited capacity, and from
thousands of other addresses as many requests as ten and fifty such apps could answer."""

import json
import pathlib
import time

import load
from proxies import operate, start_proxy
from servers import LOAD_CORE, free_port, start, wait_for

# The app: so many requests at a time, of so many milliseconds each.
PLACES, MILLISECONDS = 4, 20
CAPACITY = PLACES * 1000 // MILLISECONDS
# Users ask for half of that; where strangers have a limit together, it is a quarter.
USERS, USERS_RATE, STRANGERS_RATE = 50, CAPACITY // 2, CAPACITY // 4
ADDRESSES = 4000
FLOODS = [0, 10, 50]

# What is measured: the proxy, and the mode that an operator has switched to.
VARIANTS = {
    "nginx": ("nginx", None),
    "haproxy": ("haproxy", None),
    "envoy": ("envoy", None),
    "tidegate, normal": ("tidegate", None),
    "tidegate, known-only": ("tidegate", "known-only"),
}


def run(folder, options, results):
    rounds = {variant: {str(times): [] for times in FLOODS} for variant in VARIANTS}
    results |= {"felt": rounds, "felt_seconds": options.felt_seconds}
    for n in range(options.felt_rounds):
        for variant in VARIANTS:
            for times in FLOODS:
                home = pathlib.Path(folder, f"felt-{n}-{variant.replace(', ', '-')}-{times}")
                figures = one(home, *VARIANTS[variant], times, options.felt_seconds)
                rounds[variant][str(times)].append(figures)
                told = f"{figures['served']}/{figures['asked']} served, p99 {figures['p99']:.1f} ms"
                options.keep(results)
                print(f"felt: {variant:22} {times:2} x: {told}", flush=True)


def one(home, name, mode, times, seconds):
    """One run with an app and a proxy of its own, so that none begins with the line of another."""
    home.mkdir()
    port = free_port()
    options = [f"port={port}", f"places={PLACES}", f"ms={MILLISECONDS}"]
    app = start(["taskset", "-c", LOAD_CORE, load.LOAD, "app", *options], home)
    wait_for(port, home)
    limits = {"strangers": STRANGERS_RATE, "places": PLACES, "all_connections": 500 + PLACES}
    proxy = start_proxy(home, name, port, "felt", (10, "s", 20), **limits)
    if mode:
        operate(proxy, "mode", mode, "--force", "--reason", "benchmark")
    try:
        return under(times, proxy, seconds)
    finally:
        proxy.stop()
        app.terminate()
        app.wait()


def under(times, proxy, seconds):
    to = f"127.0.0.1:{proxy.plain}"
    flood = None
    if times:
        flood = load.begin(
            "flood", to=to, first="127.2.0.1", clients=ADDRESSES, rate=CAPACITY * times, seconds=seconds + 2
        )
        # Users come when the flood is there.
        time.sleep(1)
    before, start_at = proxy.cpu(), time.monotonic()
    figures = load.own("users", seconds, to=to, first="127.1.0.1", clients=USERS, rate=USERS_RATE)
    figures["busy"] = (proxy.cpu() - before) / (time.monotonic() - start_at)
    if flood:
        said, _ = flood.communicate(timeout=seconds + 30)
        figures["flood"] = {**json.loads(said), "seconds": seconds + 2}
    return figures
