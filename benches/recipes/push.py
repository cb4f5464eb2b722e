"""The recipe of the official client library for a batch job.

    push.py GATEWAY-URL NAME COMMAND [ARGUMENT]...
"""

import socket
import subprocess
import sys
import time

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

gateway, name, command = sys.argv[1], sys.argv[2], sys.argv[3:]

start = time.time()
code = subprocess.call(command)
end = time.time()

registry = CollectorRegistry()
for family, meaning, value in [
    ("script_start_timestamp_seconds", "When the run started.", start),
    ("script_end_timestamp_seconds", "When the run ended.", end),
    ("script_duration_seconds", "How long the run took.", end - start),
    ("script_exit_code", "The exit code of the run.", code),
    ("script_result", "1 if the run succeeded.", int(code == 0)),
]:
    Gauge(family, meaning, registry=registry).set(value)
pushadd_to_gateway(
    gateway,
    job="script_monitor",
    registry=registry,
    grouping_key={"instance": socket.gethostname(), "script_name": name},
)
sys.exit(code)
