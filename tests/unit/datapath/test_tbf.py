"""Token buckets, against the formulas of spec/terway.md 4.7."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host import rtnl_read
from ipamd.datapath import tbf

RATES = st.integers(1, 1 << 40)
MTUS = st.integers(576, 9000)


def as_told(bucket):
    """The bucket as the kernel tells it: time for the burst, in 64 ns."""
    ticks = bucket.burst_bytes * 10**9 // bucket.rate_bytes_per_s // 64
    return rtnl_read.Bucket(
        rate_bytes_per_s=bucket.rate_bytes_per_s,
        limit_bytes=bucket.limit_bytes,
        buffer_ticks=ticks & 0xFFFFFFFF,
    )


def test_no_rate_is_no_bucket():
    assert tbf.bucket(0, 5000, 1500) is None


@pytest.mark.parametrize(
    ("rate", "mtu", "burst", "limit"),
    [
        (1_250_000, 1500, 3000, 34_250),
        (12_500_000, 1500, 12_500, 325_000),
        (3_000_001, 1500, 3001, 78_001),
        (1_250_000, 9000, 10_500, 41_750),
    ],
)
def test_default_burst_and_limit(rate, mtu, burst, limit):
    made = tbf.bucket(rate, 0, mtu)

    assert (made.rate_bytes_per_s, made.burst_bytes, made.limit_bytes) == (rate, burst, limit)


@given(rate=st.integers(1000, 1 << 31), mtu=MTUS)
def test_default_follows_the_formula(rate, mtu):
    made = tbf.bucket(rate, 0, mtu)

    assert made.burst_bytes == math.ceil(max(rate / 1000, mtu + 1500))
    assert made.limit_bytes == int(rate * 0.025) + made.burst_bytes


@given(rate=RATES, burst=st.integers(0, 1 << 33), mtu=MTUS)
def test_bucket_lets_a_frame_pass_and_fits_the_message(rate, burst, mtu):
    made = tbf.bucket(rate, burst, mtu)

    assert mtu < made.burst_bytes <= made.limit_bytes < 1 << 32


@given(rate=st.integers(1000, 1 << 34), burst=st.integers(20_000, 1 << 20))
def test_burst_asked_for_is_the_burst_unless_it_lasts_for_minutes(rate, burst):
    assert tbf.bucket(rate, burst, 1500).burst_bytes == max(min(burst, rate * 256), 1518)


@given(rate=RATES, burst=st.integers(0, 1 << 33), mtu=MTUS)
def test_what_the_kernel_tells_is_recognised(rate, burst, mtu):
    made = tbf.bucket(rate, burst, mtu)

    assert tbf.is_same(made, as_told(made))
    assert not tbf.is_same(made, as_told(tbf.bucket(rate + 1, burst, mtu)))
    assert not tbf.is_same(made, None)
    assert not tbf.is_same(None, as_told(made))


def test_another_burst_is_another_bucket():
    made = tbf.bucket(1_250_000, 100_000, 1500)

    assert not tbf.is_same(made, as_told(tbf.bucket(1_250_000, 110_000, 1500)))


def test_texts_say_rate_and_burst():
    made = tbf.bucket(1_250_000, 100_000, 1500)

    assert tbf.wanted_text(made) == "1250000 bytes/s, burst 100000 bytes"
    assert tbf.found_text(as_told(made)) == "1250000 bytes/s, burst 100000 bytes"
    assert tbf.wanted_text(None) == tbf.found_text(None) == "no limit"
