"""`python -m bench [TARGET…]`: run the named targets, or all."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

from bench import report

TARGETS: Mapping[str, str] = {
    "disk": "one volume's calls, many at once, the driver's memory",
    "cni": "ADD and DEL beside the reference plug-ins, a cold burst, ipamd's memory",
    "nas": "volumes on NAS: many at once, memory",
    "oss": "mounting and restarting clients of object storage, memory",
    "lvm": "volumes of the node's own disks",
    "k8s": "40 pods at once in a cluster, with our network and with ptp",
}


def main(argv: Sequence[str]) -> int:
    """Run; the exit status is 2 for an unknown target and 0 otherwise, goals met or not."""
    names = _parser().parse_args(argv).target
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


def _parser() -> argparse.ArgumentParser:
    targets = "\n".join(f"  {name:6}{what}" for name, what in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measures, prints a table, and writes it as JSON to bench/out/. Needs root; "
        "some minutes for each target.",
        epilog=f"targets:\n{targets}\n\n"
        "exit status: 0 measured, whatever the figures; 2 wrong usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help="those to run (default: all)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
