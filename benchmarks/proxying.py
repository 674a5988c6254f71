"""
What passing a request on costs: ropewalk in front of nginx, beside nginx in its place.

    .venv/bin/python benchmarks/proxying.py

nginx serves the pages, in one process; it and ropewalk take turns in front of that, in
one process each, asked by wrk over 32 connections. Needs ``nginx`` and ``wrk``.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).with_name("twistd")

ROUNDS, SECONDS, CONNECTIONS = 3, 4, 32

#: Seconds to wait for a first answer before giving up.
PATIENCE = 30.0

#: What is asked for, and how many bytes that is.
PAGES = {"/hello": 13, "/100k": 100_000, "/1m": 1_000_000}

COMMON = """\
worker_processes 1; daemon off; master_process off;
pid {home}/{name}.pid; error_log {home}/{name}.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000; sendfile on;
  client_body_temp_path {home}/{name}1; proxy_temp_path {home}/{name}2;
  fastcgi_temp_path {home}/{name}3; uwsgi_temp_path {home}/{name}4;
  scgi_temp_path {home}/{name}5;
  {http}
}}
"""

PAGES_CONF = "server {{ listen 127.0.0.1:{port}; root {home}/pages; }}"

PROXY_CONF = """
  upstream pages {{
    server 127.0.0.1:{pages}; keepalive 64; keepalive_requests 10000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://pages; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
"""

SETTINGS = """\
[web]
listen = ["tcp:{port}:interface=127.0.0.1"]
access_log = false

[web.mounts]
"/" = {{ proxy = "http://127.0.0.1:{pages}" }}
"""


def free_port() -> int:
    """A TCP port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def running(words: list[str], port: int) -> Iterator[None]:
    """A server, as soon as it listens."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield
        finally:
            server.send_signal(signal.SIGTERM)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def nginx(home: Path, name: str, http: str) -> list[str]:
    """The words of the command that runs nginx."""
    conf = home / f"{name}.conf"
    conf.write_text(COMMON.format(home=home, name=name, http=http), "utf-8")
    return ["nginx", "-p", str(home), "-c", str(conf)]


def ropewalk(home: Path, port: int, pages: int) -> list[str]:
    """The words of the command that runs us."""
    path = home / "ropewalk.toml"
    path.write_text(SETTINGS.format(port=port, pages=pages), "utf-8")
    return [str(TWISTD), "-n", "--pidfile=", "ropewalk", "--settings", str(path)]


def ask(port: int, path: str) -> float:
    """Requests that are answered in a second."""
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}"]
    said = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec: +([0-9.]+)", said)
    if found is None:
        raise RuntimeError(said)
    return float(found[1])


def measure(home: Path) -> Iterator[tuple[str, list[float]]]:
    """Each page, and what is answered of it in a second: directly, by nginx, by us."""
    (home / "pages").mkdir()
    for path, size in PAGES.items():
        (home / "pages" / path[1:]).write_bytes(b"x" * size)
    pages, theirs, ours = free_port(), free_port(), free_port()
    proxy = PROXY_CONF.format(pages=pages, port=theirs)
    with (
        running(nginx(home, "pages", PAGES_CONF.format(port=pages, home=home)), pages),
        running(nginx(home, "proxy", proxy), theirs),
        running(ropewalk(home, ours, pages), ours),
    ):
        for path in PAGES:
            rounds = [
                [ask(port, path) for port in (pages, theirs, ours)]
                for _ in range(ROUNDS)
            ]
            yield path, [median(each) for each in zip(*rounds, strict=True)]


def main() -> None:
    """Measure, and say what came of it."""
    missing = [each for each in ("nginx", "wrk") if shutil.which(each) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} are needed, and not installed")
    print("page        bytes   directly   by nginx   by ropewalk   (answers a second)")
    with tempfile.TemporaryDirectory(prefix="proxying-") as home:
        os.chmod(home, 0o755)  # nginx, run by root, serves as somebody else
        for path, (direct, theirs, ours) in measure(Path(home)):
            size = PAGES[path]
            print(f"{path:8} {size:8} {direct:10.0f} {theirs:10.0f} {ours:13.0f}")


if __name__ == "__main__":
    main()
