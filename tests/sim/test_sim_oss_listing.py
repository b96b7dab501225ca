"""Pages of a list: nothing twice, nothing left out, in order."""

from hypothesis import given
from hypothesis import strategies as st

from sim.oss import listing

NAMES = st.text(alphabet="ab/é\U0001f600", min_size=1, max_size=6)


def pages(keys: list[str], prefix: str, delimiter: str, most: int) -> list[listing.Page]:
    found, marker = [], ""
    while True:
        page = listing.page(keys, prefix=prefix, delimiter=delimiter, marker=marker, most=most)
        found.append(page)
        if not page.next_marker:
            return found
        marker = page.next_marker


@given(
    st.sets(NAMES, max_size=30),
    st.text(alphabet="ab/", max_size=2),
    st.sampled_from(["", "/"]),
    st.integers(1, 5),
)
def test_pages_hold_every_key_or_its_folded_prefix_once(
    names: set[str], prefix: str, delimiter: str, most: int
) -> None:
    keys = sorted(names, key=str.encode)

    found = pages(keys, prefix, delimiter, most)

    below = [key for key in keys if key.startswith(prefix)]
    folded = {
        prefix + key[len(prefix) :].split("/")[0] + "/"
        for key in below
        if delimiter and "/" in key[len(prefix) :]
    }
    told_keys = [key for page in found for key in page.keys]
    told_prefixes = [row for page in found for row in page.prefixes]
    plain = [key for key in below if not (delimiter and "/" in key[len(prefix) :])]
    assert told_keys == plain
    assert told_prefixes == sorted(folded, key=str.encode)
    assert all(len(page.keys) + len(page.prefixes) <= most for page in found)


@given(st.sets(NAMES, max_size=20), NAMES)
def test_a_marker_that_is_no_key_goes_on_after_it(names: set[str], marker: str) -> None:
    keys = sorted(names, key=str.encode)

    page = listing.page(keys, prefix="", delimiter="", marker=marker, most=100)

    assert list(page.keys) == [key for key in keys if key.encode() > marker.encode()]
