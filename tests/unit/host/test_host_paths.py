import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from host import paths


def resolve(root, path):
    return paths.resolve_under(root, str(path), "target_path")


def test_a_path_below_the_root_is_taken_as_it_is(tmp_path):
    root = tmp_path.resolve()

    assert resolve(root, root / "a" / "b") == root / "a" / "b"
    assert resolve(root, f"{root}//a/./b/") == root / "a" / "b"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "some/path",
        "{root}",
        "{root}/",
        "{root}/../x",
        "{root}/a/../../x",
        "/etc/passwd",
        "{root}x",
    ],
)
def test_a_path_outside_the_root_is_refused_by_name(tmp_path, path):
    with pytest.raises(errors.InvalidField, match="target_path"):
        resolve(tmp_path, path.format(root=tmp_path))


def test_a_control_character_is_refused(tmp_path):
    with pytest.raises(errors.InvalidField, match="control"):
        resolve(tmp_path, f"{tmp_path}/a\nb")


@pytest.mark.parametrize("link", ["out", "deep/out"])
def test_a_symbolic_link_cannot_lead_out(tmp_path, link):
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / link).parent.mkdir(parents=True)
    outside.mkdir()
    (root / link).symlink_to(outside)

    with pytest.raises(errors.InvalidField, match="not below"):
        resolve(root, root / link / "x")
    with pytest.raises(errors.InvalidField):
        resolve(root, root / link)


def test_a_root_that_is_a_symbolic_link_itself_works(tmp_path):
    real = tmp_path / "data"
    real.mkdir()
    (tmp_path / "kubelet").symlink_to(real)

    assert resolve(tmp_path / "kubelet", tmp_path / "kubelet" / "pods" / "x") == real / "pods" / "x"


@given(st.text(max_size=60))
def test_no_text_whatever_escapes(tmp_path_factory, text):
    root = pathlib.Path("/var/lib/kubelet")
    try:
        told = paths.resolve_under(root, f"{root}/{text}", "path")
    except errors.InvalidField:
        return

    assert root in told.parents
