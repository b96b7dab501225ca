"""The NAS driver: its calls beside mount(8) and umount(8), and what volumes cost in API calls.

Measured in the lab, by `bench.nas_guest`; see CONTRIBUTING.md, "The lab".
"""

import subprocess
import sys

from bench import report
from tests.support import processes

LIMIT_S = 1200


def run() -> report.Report:
    """Measure everything; about five minutes."""
    report.OUT.mkdir(parents=True, exist_ok=True)
    lab = [str(processes.ROOT / "tools/lab.py"), "--keep", str(report.OUT)]
    measure = ["run", sys.executable, "-m", "bench.nas_guest"]
    subprocess.run([*lab, "--limit", str(LIMIT_S), *measure], check=True, cwd=processes.ROOT)
    return report.read("nas")
