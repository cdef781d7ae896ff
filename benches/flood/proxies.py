"""The proxies that are measured and the apps behind them: from the configurations in this folder to
processes on free ports of the loopback."""

import pathlib
import re
import shutil
import subprocess
import time

from servers import GATE, LOAD_CORE, NGINX, PROXY_CORE, ROOT, children, cpu_seconds, free_port, start, wait_for

HERE = pathlib.Path(__file__).resolve().parent
LOAD = str(ROOT / "target/flood-load/release/flood-load")
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
# The wheel's own program, not its wrapper: what is measured is the process that was started.
ENVOY = next(map(str, (ROOT / "target/envoy").glob("lib/python3*/site-packages/envoy/_bin/envoy")), None)

# name: (its configuration, the command that runs it, how it says its version)
PROXIES = {
    "nginx": ("nginx.conf", [NGINX, "-p", "{home}", "-c", "{config}"], [NGINX, "-v"]),
    "haproxy": ("haproxy.cfg", [HAPROXY, "-db", "-f", "{config}"], [HAPROXY, "-v"]),
    "envoy": (
        "envoy.yaml",
        [ENVOY, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", "{config}"],
        [ENVOY, "--version"],
    ),
    "tidegate": ("tidegate.toml", [GATE, "run", "--config", "{config}"], [GATE, "--version"]),
}


def versions():
    found = {}
    for name, (_, _, command) in PROXIES.items():
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)[0]
    return found


def render(name, kind, values):
    """A configuration with its <values>, and of its ?lines those for this kind of scenario."""
    lines = []
    for line in (HERE / name).read_text().splitlines():
        condition = re.match(r"\?(!?)(\w+)", line)
        if condition:
            if (condition[2] == kind) == bool(condition[1]):
                continue
            line = line[condition.end() :]
        lines.append(re.sub(r"<(\w+)>", lambda name: str(values[name[1]]), line))
    return "\n".join(lines) + "\n"


class Server:
    """A process with its ports."""

    def __init__(self, folder, name, source, command, core, kind="", **values):
        self.name = name
        self.home = pathlib.Path(folder, name)
        self.home.mkdir(exist_ok=True)
        ports = {port: free_port() for port in ("plain", "tls", "admin")}
        config = self.home / source
        certificates = self.home.parent.parent
        config.write_text(render(source, kind, {**values, **ports, "home": self.home, "certificates": certificates}))
        self.plain, self.tls = ports["plain"], ports["tls"]
        command = [part.format(home=self.home, config=config) for part in command]
        self.process = start(["taskset", "-c", core, *command], self.home)
        wait_for(self.plain, self.home)

    def cpu(self):
        return cpu_seconds(children(self.process.pid))

    def memory(self):
        """KiB that its processes hold, what they share counted once."""
        total = 0
        for pid in children(self.process.pid):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_app(folder):
    app = Server(folder, "app", "app.conf", [NGINX, "-p", "{home}", "-c", "{config}"], LOAD_CORE)
    (app.home / "64k").write_bytes(b"tidegate" * 8192)
    return app


def start_proxy(folder, name, app, kind, limit, **values):
    source, command, _ = PROXIES[name]
    rate, unit, burst = limit
    # How long a silent client is waited for. The connection that fills a cap says nothing to the end.
    values["patience"] = "3600s" if kind == "cap" else "60s"
    if name == "tidegate":
        known = "".join(f"198.51.{n // 256}.{n % 256}\n" for n in range(10_000))
        (folder / name).mkdir()
        (folder / name / "known.txt").write_text(known + "127.1.0.0/24\n")
    values |= {"app": app, "rate": rate, "unit": unit, "burst": burst, "interval": {"s": 1, "m": 60}[unit]}
    return Server(folder, name, source, command, PROXY_CORE, kind, **values)


def operate(gate, *arguments):
    """One of the gate's own verbs."""
    command = [GATE, "--admin", str(gate.home / "admin.sock"), *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def certificates(folder):
    """One for all of them: ECDSA over P-256, which is what costs a handshake the least."""
    key, chain = folder / "tls.key", folder / "tls.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", chain], check=True, capture_output=True)
    (folder / "both.pem").write_text(chain.read_text() + key.read_text())


def settle(server, seconds=5):
    """Waits until a proxy uses no more than a fiftieth of its core: what came before is over."""
    for _ in range(int(seconds * 5)):
        before = server.cpu()
        time.sleep(0.2)
        if server.cpu() - before <= 0.01:
            return
