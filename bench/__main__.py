"""`python -m bench [TARGET…]`: run the named targets, or all."""

import importlib
import sys

from bench import report

TARGETS = ("disk", "cni", "nas", "oss", "lvm", "k8s")


def main(names: list[str]) -> int:
    """Run; the exit status is 2 for an unknown target and 0 otherwise, goals met or not."""
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        print(f"bench: no target {', '.join(unknown)}; known: {', '.join(TARGETS)}")
        return 2
    for name in names or TARGETS:
        print(f"bench: {name} (some minutes)", flush=True)
        result: report.Report = importlib.import_module(f"bench.{name}").run()
        print(report.table(result))
        print(f"written to {report.write(result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
