"""The binary `gate`: as the sidecar, or as the proxy before an upstream that knows no gate.

This process becomes the gate, so that the suite's signals reach it; the upstream is a child that
ends with it.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
GATE = os.environ.get("GATE_BINARY", str(ROOT / "target/debug/gate"))
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start_upstream(protocol: str) -> int:
    port = free_port()
    subprocess.Popen(
        [sys.executable, str(HERE / f"upstream_{protocol}.py"), str(port)],
        preexec_fn=end_with_parent,
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port
        except OSError:
            time.sleep(0.01)


def main(subject: str) -> None:
    flags = [
        "--service", "subject",
        "--requires", os.environ["REQUIRES"],
        "--built-with", os.environ["BUILT_WITH"],
        "--mode", os.environ["MODE"],
        "--max-staleness", f"{os.environ['MAX_STALENESS']}s",
        "--listen", f"127.0.0.1:{os.environ['PORT']}",
        "--notice", "1s",
    ]
    command = "serve"
    if subject != "gate-serve":
        command = "proxy"
        port = start_upstream(subject.removeprefix("gate-proxy-"))
        flags += ["--upstream", f"http://127.0.0.1:{port}"]
    os.environ.pop("DATABASE_URL", None)
    os.execv(GATE, [GATE, command, *flags])


main(sys.argv[1])
