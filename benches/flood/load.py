"""The load: wrk and h2load where they can, and flood-load where no packaged tool can. Each returns what was
answered and how long it took."""

import json
import re
import statistics
import subprocess

from proxies import LOAD
from servers import LOAD_CORE

CONNECTIONS = 64

# wrk prints no 99.9th percentile by itself. A script without `request` costs it nothing.
DONE = """
done = function(summary, latency)
  io.write(string.format("FIGURES %d %d %d %d %d %d\\n", summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.timeout, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""

# Each request of one of a million clients, as a trusted proxy names them.
OF_MANY = """
request = function()
  local n = math.random(0, 999999)
  return "GET / HTTP/1.1\\r\\nHost: test\\r\\nX-Forwarded-For: 10." .. math.floor(n / 65536) .. "." ..
    math.floor(n / 256) % 256 .. "." .. n % 256 .. "\\r\\n\\r\\n"
end
"""


def run(command, seconds):
    """A load with an end of its own, which is given some time more and then ended."""
    command = ["taskset", "-c", LOAD_CORE, *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wrk(
    folder, port, seconds, path="/", scheme="http", new=False, script="", connections=CONNECTIONS, refused=False, checked=True
):
    file = folder / "load.lua"
    file.write_text(DONE + script)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", file]
    if new:
        command += ["-H", "Connection: close"]
    text = run([*command, f"{scheme}://127.0.0.1:{port}{path}"], seconds)
    figures = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", text)
    answered, errors, failed, *waits = map(int, figures.groups())
    # A limit of one a second may let some through.
    as_meant = errors > 0.99 * answered - seconds - 2 if refused else errors == 0
    if not answered or checked and not as_meant:
        raise SystemExit(f"not what was meant to be measured: {text}")
    p50, p99, p999 = (wait / 1e3 for wait in waits)
    return {"answered": answered, "failed": failed, "p50": p50, "p99": p99, "p999": p999}


def h2load(folder, port, seconds, path="/"):
    """HTTP/2 by ALPN: as many requests in flight as wrk has, over a quarter of the connections."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    connections = CONNECTIONS // 4
    command = ["h2load", "-t1", f"-c{connections}", "-m4", f"-D{seconds}", f"--log-file={log}"]
    text = run([*command, f"https://127.0.0.1:{port}{path}"], seconds)
    protocol = re.search(r"Application protocol: (\S+)", text)
    requests = [line.split() for line in log.read_text().splitlines()]
    if not protocol or protocol[1] != "h2" or not requests or any(status != "200" for _, status, _ in requests):
        raise SystemExit(f"not what was meant to be measured: {text}")
    waits = statistics.quantiles((int(took) / 1e3 for _, _, took in requests), n=1000)
    return {"answered": len(requests), "failed": 0, "p50": waits[499], "p99": waits[989], "p999": waits[998]}


def own(verb, seconds, **options):
    command = [LOAD, verb, f"seconds={seconds}", *(f"{name}={value}" for name, value in options.items())]
    return json.loads(run(command, seconds))


def begin(verb, **options):
    """One that goes on beside others, for the seconds that it is told."""
    command = [LOAD, verb, *(f"{name}={value}" for name, value in options.items())]
    return subprocess.Popen(["taskset", "-c", LOAD_CORE, *command], stdout=subprocess.PIPE, text=True)
