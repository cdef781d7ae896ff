"""The servers and the load that the benchmarks are made of. They end with the program that started
them."""

import atexit
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GATE = str(ROOT / "target/release/tidegate")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
PROXY_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, home=None, patience=10):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    said = pathlib.Path(home, "messages").read_text() if home else ""
    raise SystemExit(f"nothing listens on port {port}: {said}")


def start(command, home):
    """Starts a server that ends with this program, whatever ends it."""
    with open(home / "messages", "w") as messages:
        process = subprocess.Popen(command, cwd=home, stdout=messages, stderr=messages)
    atexit.register(process.wait)
    atexit.register(process.terminate)
    return process


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, found)]


def nginx(folder, name, core, http):
    home = pathlib.Path(folder, name)
    home.mkdir()
    config = home / "nginx.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;"
        f" uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; keepalive_requests 100000000;\n{http}\n}}\n"
    )
    command = ["taskset", "-c", core, NGINX, "-p", str(home), "-c", str(config)]
    return start(command, home)


def start_app(folder, fields=""):
    port = free_port()
    http = (
        f"access_log off; server {{ listen 127.0.0.1:{port} reuseport; {fields}"
        " location / { default_type text/plain; return 200 'hello, this is the app\\n'; } }"
    )
    process = nginx(folder, "app", LOAD_CORE, http)
    wait_for(port)
    return process, port


def start_nginx(folder, app, rate, burst):
    port = free_port()
    # A refusal is logged one time in a thousand, as the gate samples it; nginx cannot log less of
    # the limit's own error lines than none.
    http = f"""
    split_clients $request_id $sampled {{ 0.1% 1; * 0; }}
    access_log {folder}/nginx-access.log combined if=$sampled;
    limit_req_zone $binary_remote_addr zone=client:32m rate={rate}r/s;
    limit_conn_zone $binary_remote_addr zone=connections:8m;
    upstream app {{ server 127.0.0.1:{app}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port}; error_log /dev/null crit;
        limit_req zone=client burst={burst} nodelay; limit_req_status 429;
        limit_conn connections 10000;
        location / {{
            proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
        }}
    }}"""
    process = nginx(folder, f"nginx-{rate}", PROXY_CORE, http)
    wait_for(port)
    return process, port


def start_gate(binary, folder, app, rate, burst, name="gate", more="", client="", per="s", under=(), patience=10):
    """`under` is the command, such as Callgrind's, that the gate is started with; it may take its time."""
    port = free_port()
    home = pathlib.Path(folder, f"{name}-{rate}")
    home.mkdir()
    (home / "known.txt").write_text("".join(f"198.51.{n // 256}.{n % 256}\n" for n in range(10_000)))
    config = home / "tidegate.toml"
    config.write_text(f"""
threads = 1
[[listener]]
address = "127.0.0.1:{port}"
[upstream.app]
servers = ["127.0.0.1:{app}"]
[client]
{client}limit = {{ rate = "{rate}/{per}", burst = {burst} }}
connections = 10000
[tenant]
from = "host"
tier = "unverified"
[tier.unverified]
limit = {{ rate = "1000000/s", burst = 1000000 }}
in_flight = 10000
[connections]
total = 20000
[known]
files = ["known.txt"]
[log]
file = "access.log"
[admin]
socket = "{home}/admin.sock"
[metrics]
address = "127.0.0.1:{free_port()}"
[state]
directory = "{home}/state"
{more}""")
    command = ["taskset", "-c", PROXY_CORE, *under, binary, "run", "--config", str(config)]
    process = start(command, home)
    wait_for(port, home, patience)
    return process, port


# For wrk: each request of one of so many clients, as a trusted proxy names them.
OF_MANY = """
request = function()
  local n = math.random(0, %d - 1)
  local client = string.format("10.%%d.%%d.%%d", n / 65536, n / 256 %% 256, n %% 256)
  return wrk.format("GET", "/", { ["Host"] = "test", ["X-Forwarded-For"] = client })
end
"""


def load(port, seconds, headers, script=None):
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", "-c64", f"-d{seconds}s"]
    if script:
        command += ["-s", str(script)]
    for header in headers:
        command += ["-H", header]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    return int(re.search(r"(\d+) requests in", text)[1])
