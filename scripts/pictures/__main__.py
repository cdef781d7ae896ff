"""The pictures of the README: `tidegate top` and the dashboard, from a flood against a real gate.

    make pictures      # some four minutes; docs/pictures
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "scripts/pictures"
sys.path.append(str(ROOT / "benches"))

import dashboard  # noqa: E402
import terminal  # noqa: E402
from servers import free_port, start, wait_for  # noqa: E402

CALM, FLOOD, KNOWN_ONLY = 50, 90, 75
LOOK = 45
# Load ends by itself, should this program be killed.
LONGEST = CALM + FLOOD + KNOWN_ONLY + 30
# How many of the rows are open.
ROWS = {"dashboard.svg": 2, "dashboard-all.svg": 6}


def gate_binary():
    built = [ROOT / "target/release/tidegate", ROOT / "target/debug/tidegate"]
    return next((str(file) for file in built if file.exists()), None) or sys.exit("no gate: make build")


def home_of(folder, name):
    home = pathlib.Path(folder, name)
    home.mkdir()
    return home


def start_gate(folder, app, metrics):
    home, port = home_of(folder, "gate"), free_port()
    (home / "tidegate.toml").write_text(f"""
mode = "normal"
[[listener]]
address = "127.0.0.1:{port}"
[upstream.app]
servers = ["127.0.0.1:{app}"]
[client]
address_from = "x-forwarded-for"
trusted_proxies = ["127.0.0.1"]
limit = {{ rate = "4/s", burst = 20 }}
connections = 200
[tenant]
from = "host"
tier = "shops"
[tenants]
"shop.example.com" = "shops"
"blog.example.com" = "shops"
[tier.shops]
limit = {{ rate = "250/s", burst = 500 }}
in_flight = 40
[connections]
total = 2000
[known.learn]
header = "x-tidegate-known"
[log]
file = "access.log"
[admin]
socket = "{home}/admin.sock"
[metrics]
address = "127.0.0.1:{metrics}"
[state]
directory = "{home}/state"
""")
    start([gate_binary(), "run", "--config", str(home / "tidegate.toml")], home)
    wait_for(port, home)
    return port, [gate_binary(), "--admin", str(home / "admin.sock")]


def start_prometheus(folder, metrics):
    home, port = home_of(folder, "prometheus"), free_port()
    (home / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: {dashboard.SCRAPE}s, evaluation_interval: 5s }}
rule_files: ["{ROOT}/deploy/prometheus/tidegate.rules.yml"]
scrape_configs:
  - job_name: tidegate
    static_configs: [{{ targets: ["127.0.0.1:{metrics}"] }}]
""")
    address = f"127.0.0.1:{port}"
    start(["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
           f"--web.listen-address={address}"], home)
    wait_for(port, home)
    return f"http://{address}"


def start_wrk(folder, script, connections, port):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{LONGEST}s", "-s", str(HERE / script), f"http://127.0.0.1:{port}/"]
    start(command, home_of(folder, script))


def verb(gate, *words):
    subprocess.run([*gate, *words], stdout=subprocess.DEVNULL, check=True)


def firing(prometheus):
    alerts = prometheus.ask("alerts")["alerts"]
    return sorted(alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing")


def scene(folder):
    """The flood and what is seen of it: a screen, a Prometheus, and when what began."""
    app, metrics = free_port(), free_port()
    start([sys.executable, str(HERE / "app.py"), str(app)], home_of(folder, "app"))
    wait_for(app)
    port, gate = start_gate(folder, app, metrics)
    address, begin = start_prometheus(folder, metrics), time.time()
    start_wrk(folder, "customers.lua", 8, port)
    time.sleep(CALM)
    marks = [(time.time(), "the flood begins")]
    start_wrk(folder, "flood.lua", 64, port)
    start([sys.executable, str(HERE / "holders.py"), str(port)], home_of(folder, "holders"))
    verb(gate, "block", "add", "198.51.100.23", "--for", "1h", "--reason", "bot")
    time.sleep(LOOK)
    screen = terminal.screen_of([*gate, "top"], 5)
    time.sleep(max(0, marks[0][0] + FLOOD - time.time()))
    marks.append((time.time(), "known-only"))
    verb(gate, "mode", "known-only", "--for", "30m", "--reason", "flood")
    time.sleep(KNOWN_ONLY)
    return screen, dashboard.Prometheus(address, begin + 10, time.time() - 1), marks


def main():
    pictures = ROOT / "docs/pictures"
    pictures.mkdir(exist_ok=True)
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as folder:
        screen, prometheus, marks = scene(folder)
        (pictures / "top.svg").write_text(terminal.as_svg(screen, "tidegate top"))
        board = json.loads((ROOT / "deploy/grafana/tidegate.json").read_text())
        for name, rows in ROWS.items():
            (pictures / name).write_text(dashboard.as_svg(board, prometheus, marks, rows))
        alerts = firing(prometheus)
    print("alerts that fire:", ", ".join(alerts))
    return 0 if "TidegateFlood" in alerts else 1


if __name__ == "__main__":
    sys.exit(main())
