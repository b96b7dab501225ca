"""Servers and paths: what they are, what they tell, and what cannot be one (Appendix G 34, 39)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi.nas import paths, server

STANDARD = "0a1b2c-abc12.cn-hangzhou.nas.aliyuncs.com"
EXTREME = "extreme-0a1b-abc12.cn-hangzhou.extreme.nas.aliyuncs.com"
CPFS = "cpfs-0a1b-abc12.cn-hangzhou.cpfs.aliyuncs.com"
LINGJUN = "bmcpfs-0a1b-abc12.cn-hangzhou.cpfs.aliyuncs.com"
Type = server.Type

DOMAINS = {
    "standard": (STANDARD, Type.STANDARD, "0a1b2c"),
    "capital letters": (STANDARD.upper(), Type.STANDARD, "0A1B2C"),
    "a dot at the end": (f"{STANDARD}.", Type.STANDARD, "0a1b2c"),
    "extreme": (EXTREME, Type.EXTREME, "extreme-0a1b"),
    "CPFS": (CPFS, Type.CPFS, "cpfs-0a1b"),
    "CPFS for Lingjun": (LINGJUN, Type.BMCPFS, "bmcpfs-0a1b"),
    "a server of one's own": ("nfs-1.example.org", Type.UNKNOWN, ""),
    "a domain that only looks alike": ("a.nas.aliyuncs.com.example.org", Type.UNKNOWN, ""),
    "an address": ("10.0.0.1", Type.UNKNOWN, ""),
    "an IPv6 address": ("fd00::1", Type.UNKNOWN, ""),
}


@pytest.mark.parametrize(("host", "kind", "identity"), DOMAINS.values(), ids=DOMAINS.keys())
def test_the_domain_tells_type_and_id(host: str, kind: Type, identity: str) -> None:
    assert server.kind_of(host) is kind
    assert server.file_system_id(host) == identity


LISTS = {
    "one": ("a", ["a:/"]),
    "one with a base": ("a:/b/c", ["a:/b/c"]),
    "several": ("a:/b,c, d:/e", ["a:/b", "c:/", "d:/e"]),
    "bases are cleaned": ("a:/b//c/,a://,a:/", ["a:/b/c", "a:/", "a:/"]),
    "IPv6": ("fd00::1,[FD00::2]:/b", ["[fd00::1]:/", "[fd00::2]:/b"]),
}


@pytest.mark.parametrize(("text", "exports"), LISTS.values(), ids=LISTS.keys())
def test_servers_with_bases_are_read(text: str, exports: list[str]) -> None:
    assert [place.export for place in server.parse_list("server", text)] == exports


@pytest.mark.parametrize(
    "host", ["fd00::1", "[fd00::1]", "10.0.0.1", "nfs", "a_b.example.org", STANDARD]
)
def test_one_host_of_a_node_publish_is_accepted(host: str) -> None:
    assert server.parse_host("server", host) == host.strip("[]")


HOSTS = [
    *("", " ", "a b", "a,b", "a:/b", "a:b", "[a]", "[fd00::1", "fd00::1]", "::g", "a\nb", "a\tb"),
    *("a\0b", "..", "../a", "a/b", "-o", "a..b", "a\\,b", 'a"b', "a=b", "ä.example", "a" * 64),
    *(
        "fe80::1%eth0",
        "fe80::1%a,b",
        "[fe80::1%a b]",
        "a;b",
        "$(a)",
        "a\u2028b",
        ".".join(["a" * 60] * 5),
    ),
]


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_not_one_host_is_refused_by_name(host: str) -> None:
    with pytest.raises(errors.InvalidField, match=r"server .*allowed: one host name"):
        server.parse_host("server", host)


@given(st.text(max_size=30))
def test_an_accepted_host_is_one_word_that_starts_no_option(text: str) -> None:
    try:
        host = server.parse_host("server", text)
    except errors.Invalid:
        return

    assert re.fullmatch(r"[A-Za-z0-9_:.][A-Za-z0-9_:.-]*", host)


PATHS = {
    "/": "/",
    "//": "/",
    "/a": "/a",
    "/a/": "/a",
    "/a//b///": "/a/b",
    "/…": "/…",
    "/..a": "/..a",
}


@pytest.mark.parametrize(("text", "path"), PATHS.items())
def test_paths_are_cleaned(text: str, path: str) -> None:
    assert paths.parse("path", text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "./a",
        "/a/../b",
        "/..",
        "/.",
        "/a/./b",
        "/a\nb",
        "/a\0",
        "/a,ro",
        "/a b",
        "/" + "a" * 1023,
    ],
)
def test_other_paths_are_refused_by_name(text: str) -> None:
    with pytest.raises(errors.InvalidField, match=r"^path"):
        paths.parse("path", text)


@given(st.text(max_size=40))
def test_an_accepted_path_stays_below_its_root(text: str) -> None:
    try:
        path = paths.parse("path", text)
    except errors.Invalid:
        return

    assert path.startswith("/")
    assert path == "/" or not path.endswith("/")
    assert not {"", ".", ".."} & set(path[1:].split("/")) or path == "/"
    assert paths.parse("path", path) == path


def test_a_path_is_joined_to_a_base() -> None:
    assert paths.join("/", "a/b") == "/a/b"
    assert paths.join("/a", "b") == "/a/b"
    assert paths.join("/a", "") == "/a"


ROOTS = {
    "the root": (STANDARD, "/a/b", "/"),
    "extreme": (EXTREME, "/share/a", "/share"),
    "extreme, share itself": (EXTREME, "/share", "/share"),
    "CPFS": (CPFS, "/share/a", "/share"),
    "not below share": (EXTREME, "/shared/a", "/"),
    "a server of one's own has no share": ("nfs", "/share/a", "/"),
}


@pytest.mark.parametrize(("host", "base", "root"), ROOTS.values(), ids=ROOTS.keys())
def test_the_directory_that_can_always_be_mounted(host: str, base: str, root: str) -> None:
    assert server.root_of(server.Place(host=host, base=base)).base == root
