"""The mounter's requests and answers."""

import json
import pathlib

import pytest

from core import errors
from csi.fuse_type import FuseType
from csi.mounter import flags, protocol


def line(method: str, **body: object) -> bytes:
    return json.dumps({"header": {"method": method}, "body": body}).encode() + b"\n"


def test_a_mount_is_parsed_and_shows_no_secret() -> None:
    asked = protocol.parse_request(
        line(
            "mount",
            source="b:/p",
            target="/run/fuse.ossfs/x",
            fstype="ossfs",
            options=["url=u"],
            mountFlags=["ro"],
            secrets={"passwd-ossfs": "b:AK:SK"},
            volumeID="v",
        )
    )

    assert isinstance(asked, protocol.Mount)
    assert asked.options == ("url=u", "ro")
    assert "AK:SK" not in repr(asked)


@pytest.mark.parametrize(
    "wrong",
    [
        b"{",
        b"[]",
        line("dance"),
        line("unmount", target="relative"),
        line("unmount", target="/run/../etc"),
        line("mount", source="b", target="/t", fstype="ossfs", secrets={"a": 1}),
        line("mount", source="b", target="/t", fstype="ossfs", overlay=True),
        b" " * (protocol.REQUEST_MAX_BYTES + 1),
    ],
)
def test_a_wrong_request_is_invalid(wrong: bytes) -> None:
    with pytest.raises(errors.Invalid):
        protocol.parse_request(wrong)


def test_a_broken_request_does_not_carry_its_text_in_the_error() -> None:
    with pytest.raises(errors.Invalid) as caught:
        protocol.parse_request(b'{"secrets": "AKSK"')

    assert caught.value.__cause__ is None
    assert "AKSK" not in str(caught.value)


def test_an_answer_is_one_line_with_its_number() -> None:
    assert json.loads(protocol.answer(3, "no")) == {"seq": 3, "error": "no"}
    assert protocol.answer(1).endswith(b"}\n")


@pytest.mark.parametrize("target", ["/run/fuse.ossfs", "/run/fuse.ossfs2/x", "/etc/x"])
def test_a_target_outside_the_roots_is_refused(target: str) -> None:
    with pytest.raises(errors.InvalidField):
        protocol.check_target(pathlib.Path(target), [pathlib.Path("/run/fuse.ossfs")])


def test_the_command_line_of_the_existing_mount_proxy_is_taken() -> None:
    told = flags.parser().parse_args(
        [
            "--socket=/run/fuse.ossfs/x/mounter.sock", "--driver=ossfs,ossfs2,alinas", "-v=4",
            "--timeout=30s", "--enable-nftables=true", "--cleanup-nas-mounts-on-exit",
        ]
    )  # fmt: skip

    assert told.driver == (FuseType.OSSFS, FuseType.OSSFS2)
    assert (told.v, told.timeout) == (4, 30.0)
    with pytest.raises(SystemExit):
        flags.parser().parse_args(["--driver=alinas,nfs"])


def test_the_request_of_the_existing_node_service_is_taken() -> None:
    asked = protocol.parse_request(
        line(
            "mount", source="b:/p", target="/run/fuse.ossfs/x/globalmount", fstype="ossfs",
            options=["url=u", "allow_other"], mountFlags=None, secrets=None, volumeID="v",
            metricsPath="/var/run/ossfs/x", overlay=False,
        )
    )  # fmt: skip

    assert isinstance(asked, protocol.Mount)
    assert (asked.options, asked.secrets) == (("url=u", "allow_other"), {})
