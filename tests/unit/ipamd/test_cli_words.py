"""What `terway-cli` says when ipamd does not answer."""

import pathlib
import socket

import pytest

from ipamd.cli import local, main, output


@pytest.mark.parametrize(
    ("kind", "why"),
    [("none", "there is no such socket"), ("ended", "connection refused; has ipamd ended?")],
)
def test_it_is_told_why_nobody_answers(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], kind: str, why: str
) -> None:
    path = tmp_path / "eni.socket"
    if kind == "ended":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))

    status = main.main(["--socket", str(path), "list"])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith(f"terway-cli: ipamd does not answer on {path}: {why}")
    assert len(told.splitlines()) == 1


def test_a_socket_that_takes_connections_is_not_said_to_be_missing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "eni.socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        assert local.why_no_answer(str(path)).startswith("it takes connections")


def test_findings_fit_a_terminal() -> None:
    rows = [
        {"severity": "OK", "subject": "interfaces", "message": "2 ready", "advice": ""},
        {
            "severity": "ERROR",
            "subject": "OpenAPI",
            "message": "no credentials: " + "there is no such file; " * 20,
            "advice": "check the RAM policy",
        },
    ]

    told = output.findings(rows).splitlines()

    assert told[0] == "OK       interfaces: 2 ready"
    assert told[1].startswith("ERROR    OpenAPI: no credentials: ")
    assert all(line.startswith("         ") for line in told[2:])
    assert told[-1] == "         -> check the RAM policy"
    assert max(map(len, told)) <= 100
