"""Mount options: precedence, versions, and that none can bring another one along."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import errors
from csi.nas import mount_options, option_table

STANDARD = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"
EXTREME = "extreme-0a1b-abc12.cn-hangzhou.extreme.nas.aliyuncs.com"
OWN = "nfs.example.org"
V3 = ("vers=3", *mount_options.DEFAULTS_V3)


def choose(
    *flags: str,
    host: str = STANDARD,
    version: str = "",
    options: str = "",
    read_only: bool = False,
    more: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    return mount_options.choose(
        host=host,
        version=version,
        options=options,
        mount_flags=flags,
        read_only=read_only,
        more=more,
    )


# Appendix G 39, first half: flags against the context, `none`, `ro`, versions.
CASES = {
    "nothing said: version 3 with its defaults": ({}, V3),
    "version 4 has defaults of its own": ({"version": "4.0"}, ("vers=4.0", "noresvport")),
    "3.0 is 3": ({"version": "3.0"}, V3),
    "4 is 4.0": ({"version": "4"}, ("vers=4.0", "noresvport")),
    "options none means none": ({"options": "none"}, ("vers=3",)),
    "none is read-only all the same": ({"options": "none", "read_only": True}, ("vers=3", "ro")),
    "options replace the defaults": ({"options": "soft, timeo=20"}, ("vers=3", "soft", "timeo=20")),
    "options name the version": ({"options": "vers=4.1,soft"}, ("vers=4.1", "soft")),
    "options only name the version": ({"options": "nfsvers=4.1"}, ("vers=4.1", "noresvport")),
    "options beat vers": ({"version": "3", "options": "vers=4.0,soft"}, ("vers=4.0", "soft")),
    "read-only is added at the end": (
        {"options": "soft", "read_only": True},
        ("vers=3", "soft", "ro"),
    ),
    "read-only beats rw": ({"options": "rw,soft", "read_only": True}, ("vers=3", "soft", "ro")),
    "read-only with the defaults": ({"read_only": True}, (*V3, "ro")),
    "what speaks to init scripts is left out": (
        {"options": "bg,_netdev,defaults,soft"},
        ("vers=3", "soft"),
    ),
    "a repeat is told once": ({"options": "soft,soft"}, ("vers=3", "soft")),
    "a minor version of its own": ({"options": "vers=4,minorversion=1,soft"}, ("vers=4.1", "soft")),
    "v4.1 as a word": ({"options": "v4.1,soft"}, ("vers=4.1", "soft")),
    "extreme with version 3": ({"host": EXTREME}, V3),
    "a server of one's own may have 4.2": (
        {"host": OWN, "version": "4.2"},
        ("vers=4.2", "noresvport"),
    ),
    "Kerberos": ({"options": "sec=krb5p"}, ("vers=3", "sec=krb5p")),
}


@pytest.mark.parametrize(("told", "meant"), CASES.values(), ids=CASES.keys())
def test_options_of_the_context(told: dict[str, object], meant: tuple[str, ...]) -> None:
    assert choose(**told) == meant  # type: ignore[arg-type]


FLAGS = {
    "a version among flags beats vers and options": (
        ["vers=4.1"],
        {"version": "3", "options": "vers=4.0,soft"},
        ("vers=4.1", "soft"),
    ),
    "any other flag replaces all options": (
        ["noac"],
        {"options": "soft,timeo=20"},
        ("vers=3", "noac"),
    ),
    "but not the version that options name": (
        ["noac"],
        {"options": "vers=4.0,soft"},
        ("vers=4.0", "noac"),
    ),
    "flags replace none": (["noac"], {"options": "none"}, ("vers=3", "noac")),
    "flags in one string": (["noac,soft", "vers=3"], {}, ("vers=3", "noac", "soft")),
}


@pytest.mark.parametrize(("flags", "told", "meant"), FLAGS.values(), ids=FLAGS.keys())
def test_mount_flags_override_the_context(
    flags: list[str], told: dict[str, str], meant: tuple[str, ...]
) -> None:
    assert choose(*flags, **told) == meant  # type: ignore[arg-type]


VERSIONS = {
    "extreme with 4.0": (EXTREME, "4.0", "3"),
    "NAS with 4.2": (STANDARD, "4.2", "3, 4.0, 4.1"),
    "version 2": (OWN, "2", "3, 3.0, 4, 4.0, 4.1, 4.2"),
    "no version": (OWN, "new", "3, 3.0, 4, 4.0, 4.1, 4.2"),
}


@pytest.mark.parametrize(("host", "version", "allowed"), VERSIONS.values(), ids=VERSIONS.keys())
def test_a_version_the_server_does_not_have_is_refused(
    host: str, version: str, allowed: str
) -> None:
    with pytest.raises(errors.InvalidField, match=rf"\[vers\] '{version}'.*allowed: {allowed}$"):
        choose(host=host, version=version)


@pytest.mark.parametrize(
    "options",
    [
        "vers=3,vers=4.0",
        "v3,minorversion=1",
        "vers=4.1,minorversion=0",
        "minorversion=0,minorversion=1",
    ],
)
def test_two_versions_are_refused(options: str) -> None:
    with pytest.raises(errors.Invalid, match="several NFS versions"):
        choose(options=options)


INJECTIONS = [
    "mounthost=10.0.0.1",
    "mountaddr=10.0.0.1",
    "addr=10.0.0.1",
    "context=system_u:object_r:tmp_t:s0",
    'context="a,b"',
    "sloppy",
    "soft suid",
    "soft\nsuid",
    "soft\\,suid",
    "timeo=20=30",
    "timeo=many",
    "timeo",
    "soft=1",
    "nconnect=17",
    "nconnect=0",
    "-o",
    "--bind",
    "sec=krb5:sys",
    "proto=sctp",
    "fsc=tag",
    "remount",
    "bind",
    "loop=/dev/loop0",
    "x-systemd.automount",
    "user_xattr",
    "uid=0",
]


@pytest.mark.parametrize("word", INJECTIONS)
@pytest.mark.parametrize("as_flag", [True, False], ids=["mount_flags", "options"])
def test_an_unknown_or_malformed_option_is_refused(word: str, as_flag: bool) -> None:
    with pytest.raises(errors.Invalid):
        choose(*([word] if as_flag else []), options="" if as_flag else word)


def test_every_refused_option_is_named_with_what_is_allowed() -> None:
    with pytest.raises(errors.Invalid) as caught:
        choose(options="mounthost=a,timeo=x,soft suid", version="9")

    for text in ("mounthost=a", "mount option timeo 'x'", "[0-9]{1,10}", "soft suid", "vers] '9'"):
        assert text in str(caught.value)


@pytest.mark.parametrize("value", ["s3cret", "s3cret==", "s3cret s3cret"])
@pytest.mark.parametrize("as_flag", [True, False], ids=["mount_flags", "options"])
def test_a_refused_secret_is_not_told(value: str, as_flag: bool) -> None:
    word = f"access_key_secret={value}"

    with pytest.raises(errors.Invalid, match=re.escape("access_key_secret=***")) as caught:
        choose(*([word] if as_flag else []), options="" if as_flag else word)

    assert "s3cret" not in str(caught.value)


def test_the_operator_may_allow_more_options_by_name() -> None:
    more = frozenset({"context"})

    assert choose(options="context=a:b:c", more=more) == ("vers=3", "context=a:b:c")
    with pytest.raises(errors.Invalid):
        choose(options='context="a,b"', more=more)


words = st.one_of(
    st.text(max_size=20),
    st.sampled_from(sorted(option_table.WORDS)),
    st.builds("{}={}".format, st.sampled_from(sorted(option_table.VALUES)), st.text(max_size=8)),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(sorted(option_table.WORDS)),
        st.sampled_from([",", " ", "\n", "\t", "\\", '"', "'", "=", "\u2028", "\xa0", "\0"]),
        st.sampled_from(["suid", "mounthost=evil", "bind"]),
    ),
)


@given(st.lists(words, max_size=5), st.lists(words, max_size=3), st.booleans())
@example([], ["ro,suid"], True)
def test_whatever_is_accepted_is_one_known_option_each(
    options: list[str], flags: list[str], read_only: bool
) -> None:
    try:
        chosen = choose(*flags, options=",".join(options), host=OWN, read_only=read_only)
    except errors.Invalid:
        return

    assert chosen[0] in {"vers=3", "vers=4.0", "vers=4.1", "vers=4.2"}
    for word in chosen[1:]:
        assert re.fullmatch(r"[a-z_][a-z_]*(=[A-Za-z0-9.:]+)?", word)
        assert word.partition("=")[0] in {*option_table.WORDS, *option_table.VALUES}
    if read_only:  # wherever it stands: nothing that is taken undoes it but rw
        assert "ro" in chosen
        assert "rw" not in chosen
