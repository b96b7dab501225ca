"""Command line of `terway-cli`. Source of the command names: spec/terway.md 1.9."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from core import version
from ipamd.cli import calls, local, output

_UNREACHABLE = 1
_FINDINGS = 1
_ALL_WELL = 0

_EPILOG = """\
examples:
  terway-cli doctor default/web-0     why has this pod no address?
  terway-cli doctor                   and this node?
  terway-cli -o json mapping          every address and who has it, for programs

exit status: 0 done; 1 ipamd does not answer, or `doctor` found something wrong; 2 wrong usage.
"""

Show = Callable[[argparse.Namespace], tuple[Any, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0, or 1 when something is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        shown, status = arguments.run(arguments)
    except grpc.RpcError as e:
        print(_why(e, arguments.socket), file=sys.stderr)  # noqa: T201
        return _UNREACHABLE
    except local.Unreadable as e:
        print(f"terway-cli: {e}", file=sys.stderr)  # noqa: T201
        return _UNREACHABLE
    render = output.as_json if arguments.output == "json" else arguments.render
    sys.stdout.write(render(shown))
    return int(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terway-cli",
        description="Look inside ipamd, the address daemon of this node. Needs root.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"terway-cli {version.VERSION}")
    parser.add_argument("--socket", default=calls.SOCKET, help="ipamd's socket (%(default)s)")
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds to wait for ipamd (%(default)s)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "list", _list, "pods of this node with their addresses").add_argument(
        "type", nargs="?", help="`network_service`: the resources Terway's own tool lists"
    )
    show = _add(commands, "show", _show, "configuration and trace of a resource")
    show.add_argument("type", nargs="?", default="network_service")
    show.add_argument("name", nargs="?", default="default")
    _add(commands, "mapping", _mapping, "every interface with its addresses and pods")
    metadata = _add(commands, "metadata", _metadata, "interfaces as the metadata service has them")
    metadata.add_argument(
        "--endpoint", default=local.ENDPOINT, help="metadata service (%(default)s)"
    )
    doctor = _add(commands, "doctor", _doctor, "why does this pod, or this node, get no address?")
    doctor.set_defaults(render=output.findings)
    doctor.add_argument("pod", nargs="?", default="", metavar="NAMESPACE/POD")
    return parser


def _add(commands: Any, name: str, run: Show, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run, render=output.table)
    return parser


def _list(arguments: argparse.Namespace) -> tuple[Any, int]:
    with calls.Client(arguments.socket, arguments.timeout) as client:
        if arguments.type:
            return client.resources(arguments.type), _ALL_WELL
        return client.attachments(), _ALL_WELL


def _show(arguments: argparse.Namespace) -> tuple[Any, int]:
    with calls.Client(arguments.socket, arguments.timeout) as client:
        return client.resource(arguments.type, arguments.name), _ALL_WELL


def _mapping(arguments: argparse.Namespace) -> tuple[Any, int]:
    with calls.Client(arguments.socket, arguments.timeout) as client:
        return client.pool(), _ALL_WELL


def _metadata(arguments: argparse.Namespace) -> tuple[Any, int]:
    return local.interfaces(arguments.endpoint), _ALL_WELL


def _doctor(arguments: argparse.Namespace) -> tuple[Any, int]:
    namespace, _, name = arguments.pod.rpartition("/")
    with calls.Client(arguments.socket, arguments.timeout) as client:
        findings = client.diagnose(namespace or ("default" if name else ""), name)
    ill = any(finding["severity"] == "ERROR" for finding in findings)
    return findings, _FINDINGS if ill else _ALL_WELL


def _why(error: Any, socket: str) -> str:
    """What a failed call means to a person, and what to do."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"terway-cli: ipamd does not answer on {socket}: {local.why_no_answer(socket)}"
    return f"terway-cli: {error.details()}"
