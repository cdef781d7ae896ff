"""What is measured: groups of scenarios for which the same proxies run, and how each is loaded."""

import pathlib
import socket
import time

import load
from proxies import PROXIES, operate, settle, start_proxy

# Rate, its unit and burst of an address: never reached, always reached, and such that who has asked once
# is remembered for a minute.
OPEN, CLOSED, SLOW = (1_000_000, "s", 1_000_000), (1, "s", 1), (1, "m", 1_000)


def over_wrk(**how):
    def measure(folder, proxy, seconds):
        port = proxy.tls if how.get("scheme") == "https" else proxy.plain
        return load.wrk(folder, port, seconds, **how)

    return measure


def over_h2load(path):
    return lambda folder, proxy, seconds: load.h2load(folder, proxy.tls, seconds, path)


def dropped(folder, proxy, seconds):
    figures = load.own("drop", seconds, to=f"127.0.0.1:{proxy.plain}")
    if not figures["dropped"]:
        raise SystemExit(f"{proxy.name} drops no connection")
    return {"answered": figures["dropped"], "failed": figures["let_in"]}


# kind: (limits, the proxies that can do it, {name: (what it is, its load)})
GROUPS = {
    "forward": (
        OPEN,
        list(PROXIES),
        {
            "forward-small": ("forward, kept connection, small body", over_wrk()),
            "forward-64k": ("forward, kept connection, 64 KiB", over_wrk(path="/64k")),
            "forward-tls": ("forward, TLS, small body", over_wrk(scheme="https")),
            "forward-tls-64k": ("forward, TLS, 64 KiB", over_wrk(scheme="https", path="/64k")),
            "forward-h2": ("forward, HTTP/2, small body", over_h2load("/")),
            "forward-h2-64k": ("forward, HTTP/2, 64 KiB", over_h2load("/64k")),
        },
    ),
    "refuse": (
        CLOSED,
        list(PROXIES),
        {
            "refuse-kept": ("refuse, kept connection", over_wrk(refused=True)),
            "refuse-new": ("refuse, new connection each", over_wrk(refused=True, new=True)),
            "refuse-tls-new": ("refuse, TLS, new connection each", over_wrk(scheme="https", refused=True, new=True)),
        },
    ),
    "million": (SLOW, list(PROXIES), {"million": ("forward, one of a million clients", over_wrk(script=load.OF_MANY))}),
    # nginx decides nothing before it has read a head.
    "block": (OPEN, ["haproxy", "envoy", "tidegate"], {"drop-block": ("drop at accept, by block list", dropped)}),
    "cap": (OPEN, ["haproxy", "envoy", "tidegate"], {"drop-cap": ("drop at accept, by cap", dropped)}),
}
TITLES = {name: title for _, _, scenarios in GROUPS.values() for name, (title, _) in scenarios.items()}


def measure(how, folder, proxy, seconds):
    before, start = proxy.cpu(), time.monotonic()
    figures = how(folder, proxy, seconds)
    used, passed = proxy.cpu() - before, time.monotonic() - start
    answered = figures.pop("answered")
    return {
        "seconds": seconds,
        "cpu_us": used / answered * 1e6,
        "per_second": answered / seconds,
        "busy": used / passed,
        "memory_kib": proxy.memory(),
        **figures,
    }


def hold(proxy):
    """The only connection that its client may have. What looked whether it listens may still count."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        held = socket.create_connection(("127.0.0.1", proxy.plain))
        held.settimeout(0.3)
        try:
            held.recv(1)
        except TimeoutError:
            return held
        except OSError:
            pass
        held.close()
    raise SystemExit(f"{proxy.name} keeps no connection")


def prepare(kind, proxies):
    """What has to be so before a group is measured; figures of it, and what has to stay."""
    figures, held = {}, []
    for proxy in proxies:
        if kind == "block" and proxy.name == "tidegate":
            operate(proxy, "block", "add", "127.0.0.1", "--force")
        if kind == "cap":
            held.append(hold(proxy))
        if kind == "million":
            settle(proxy)
            before = proxy.memory()
            walked = load.own("walk", 120, to=f"127.0.0.1:{proxy.plain}", clients=1_000_000)
            settle(proxy)
            figures[proxy.name] = {**walked, "idle_kib": before, "tracked_kib": proxy.memory()}
    return figures, held


def run_group(kind, folder, app, only, options, results):
    limit, names, scenarios = GROUPS[kind]
    wanted = {name: how for name, (_, how) in scenarios.items() if only in (None, name)}
    if not wanted:
        return
    home = pathlib.Path(folder, kind)
    home.mkdir()
    proxies = [start_proxy(home, name, app.plain, kind, limit) for name in names]
    try:
        figures, held = prepare(kind, proxies)
        if figures:
            results["memory"] = figures
        for name, how in wanted.items():
            results.setdefault("scenarios", {})[name] = alternate(how, home, proxies, options)
            options.keep(results)
            tell(name, results["scenarios"][name])
        for connection in held:
            connection.close()
    finally:
        for proxy in proxies:
            proxy.stop()


def alternate(how, folder, proxies, options):
    rounds = {proxy.name: [] for proxy in proxies}
    for proxy in proxies:
        measure(how, folder, proxy, 1)
    for n in range(options.rounds):
        # Who comes first changes, so that nobody always follows the same one.
        turn = n % len(proxies)
        for proxy in proxies[turn:] + proxies[:turn]:
            rounds[proxy.name].append(measure(how, folder, proxy, options.seconds))
    return rounds


def tell(name, rounds):
    costs = {proxy: sorted(figures["cpu_us"] for figures in all_of) for proxy, all_of in rounds.items()}
    row = "  ".join(f"{proxy} {costs[proxy][len(costs[proxy]) // 2]:7.2f}" for proxy in costs)
    print(f"{name:16} CPU us: {row}", flush=True)
    for proxy, all_of in rounds.items():
        failed = sum(figures["failed"] for figures in all_of)
        if failed:
            print(f"{name:16} {proxy}: {failed} connections or requests failed", flush=True)
