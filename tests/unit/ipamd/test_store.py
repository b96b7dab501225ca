import dataclasses
import ipaddress
import sqlite3
import stat

import pytest

from ipamd import model, store
from ipamd.datapath import model as datapath_model

LEASE = model.Lease(
    key=model.AttachmentKey(network="net", container_id="c1", ifname="eth0"),
    ipv4=ipaddress.IPv4Address("10.0.1.5"),
    eni_id="eni-1",
    host_ifname="cali1",
    created_at=12.5,
    pod=model.Pod(namespace="default", name="web-0", uid="u"),
    netns="/run/netns/x",
    mtu=1400,
    bandwidth=datapath_model.Bandwidth(ingress_bytes_per_s=7),
)
ENI = model.EniRecord(
    eni_id="eni-1",
    mac="00:16:3e:00:00:01",
    vswitch_id="vsw-1",
    gateway=ipaddress.IPv4Address("10.0.1.253"),
    primary=ipaddress.IPv4Address("10.0.1.4"),
    created_at=1.0,
    addresses=(ipaddress.IPv4Address("10.0.1.4"), ipaddress.IPv4Address("10.0.1.5")),
    cidr_block=ipaddress.IPv4Network("10.0.1.0/24"),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ipamd.db"


def test_what_is_stored_is_there_after_a_restart(path):
    first = store.Store(path)
    first.put_lease(LEASE)
    first.put_enis((ENI,))
    first.put_fact("node", "{}")
    # Not closed: a killed process does not close either.

    loaded = store.Store(path).load()

    assert loaded.leases == (LEASE,)
    assert loaded.enis == (ENI,)
    assert loaded.facts == {"node": "{}"}


def test_nothing_is_left_when_a_machine_begins_anew(path):
    db = store.Store(path)
    db.put_lease(dataclasses.replace(LEASE, keep_s=60.0, learned=False))
    db.put_enis((ENI,))
    db.put_fact("node", "{}")
    other = dataclasses.replace(LEASE.key, container_id="c2")
    db.end_lease(other, ENI.primary, 99.0)

    db.begin_anew()
    db.begin_anew()

    assert db.load() == model.StoredState()
    db.put_lease(LEASE)
    assert db.load().leases == (LEASE,)


def test_an_ended_lease_becomes_a_cool_down(path):
    db = store.Store(path)
    db.put_lease(LEASE)

    db.end_lease(LEASE.key, LEASE.ipv4, 99.0)

    assert db.load().leases == ()
    assert db.load().released_at == {LEASE.ipv4: 99.0}


def test_the_cool_down_of_an_address_that_is_gone_is_forgotten(path):
    db = store.Store(path)
    db.put_enis((ENI,))
    db.end_lease(LEASE.key, LEASE.ipv4, 99.0)
    db.end_lease(LEASE.key, ipaddress.IPv4Address("10.0.9.9"), 99.0)

    db.put_enis((ENI,))

    assert list(db.load().released_at) == [LEASE.ipv4]


def test_two_leases_of_one_address_cannot_be_stored(path):
    db = store.Store(path)
    db.put_lease(LEASE)
    other = model.AttachmentKey(network="net", container_id="c2", ifname="eth0")

    db.put_lease(model.dataclasses.replace(LEASE, key=other))

    # The later one replaces: the kernel decided, at recovery.
    assert [lease.key for lease in db.load().leases] == [other]


def test_a_damaged_file_is_put_aside_and_said_so(path):
    store.Store(path).close()
    path.write_bytes(b"SQLite format 3\x00" + b"garbage" * 1000)

    db = store.Store(path)

    assert db.rebuilt
    assert db.load() == model.StoredState()
    assert len(list(path.parent.glob("ipamd.db.damaged-*"))) == 1


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_truncated_file_is_survived(path, kept):
    db = store.Store(path)
    db.put_lease(LEASE)
    db.close()
    with path.open("r+b") as f:
        f.truncate(kept)

    assert store.Store(path).load().leases == ()


def test_a_file_of_a_newer_version_is_refused_and_kept(path):
    store.Store(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(store.StoreTooNew, match="schema 99, this one knows 1"):
        store.Store(path)

    assert path.exists()


def test_only_the_owner_may_read(path):
    store.Store(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_somebody_else_holds_is_not_taken_for_damaged(path, monkeypatch):
    monkeypatch.setattr(store, "_BUSY_S", 0.1)
    first = store.Store(path)
    first.put_lease(LEASE)
    first.close()
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(store.StoreUnusable, match="who else has it open"):
        store.Store(path)

    holder.close()
    assert store.Store(path).load().leases == (LEASE,)


WEB = dataclasses.replace(LEASE, keep_s=300.0)
KEPT = model.Kept(
    holder=model.Holder(namespace="default", name="web-0", ifname="eth0"), keep_s=300.0
)


def test_that_an_address_is_to_be_kept_survives_a_restart(path):
    db = store.Store(path)
    db.put_lease(WEB)

    assert store.Store(path).load().leases == (WEB,)
    assert db.load().kept == {}


def test_a_kept_address_is_stored_until_somebody_has_it(path):
    db = store.Store(path)
    db.put_lease(WEB)
    db.end_lease(WEB.key, WEB.ipv4, 99.0, keep=True)

    assert store.Store(path).load().kept == {WEB.ipv4: (KEPT, 99.0)}
    db.put_lease(dataclasses.replace(LEASE, pod=model.Pod(namespace="default", name="other")))
    assert db.load().kept == {}


def test_an_address_that_is_not_to_be_kept_any_more_is_not(path):
    db = store.Store(path)
    db.put_lease(WEB)

    db.end_lease(WEB.key, WEB.ipv4, 99.0)

    assert db.load().kept == {}


def test_a_kept_address_that_is_gone_is_forgotten(path):
    db = store.Store(path)
    db.put_lease(WEB)
    db.end_lease(WEB.key, WEB.ipv4, 99.0, keep=True)

    db.put_enis((dataclasses.replace(ENI, addresses=(ENI.primary,)),))

    assert db.load().kept == {}


def test_that_a_pod_is_still_to_be_looked_up_survives_a_restart(path):
    unlearned = dataclasses.replace(LEASE, learned=False)
    db = store.Store(path)
    db.put_lease(unlearned)
    assert store.Store(path).load().leases == (unlearned,)

    db.put_lease(LEASE)
    assert store.Store(path).load().leases == (LEASE,)


def test_of_an_ended_lease_nothing_is_to_be_looked_up(path):
    db = store.Store(path)
    db.put_lease(dataclasses.replace(LEASE, learned=False))
    db.end_lease(LEASE.key, LEASE.ipv4, 99.0)

    assert db._db.execute("SELECT count(*) FROM unlearned").fetchone() == (0,)


def test_a_database_of_an_ipamd_that_kept_nothing_is_taken_up(path):
    db = store.Store(path)
    db.put_lease(LEASE)
    db._db.execute("DROP TABLE kept")
    db._db.execute("DROP TABLE unlearned")
    db.close()

    again = store.Store(path)
    again.put_lease(WEB)

    assert again.load().leases == (WEB,)


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE leases SET bandwidth = '{"ingress_b' WHERE container_id = 'c2'""",
        """UPDATE leases SET bandwidth = '{"of_a_later_version": 1}' WHERE container_id = 'c2'""",
        """UPDATE leases SET bandwidth = '[]' WHERE container_id = 'c2'""",
        "UPDATE leases SET owner = 'later' WHERE container_id = 'c2'",
        "UPDATE leases SET ipv4 = 'x' WHERE container_id = 'c2'",
        "UPDATE enis SET addresses = '{' WHERE eni_id = 'eni-2'",
        "UPDATE enis SET gateway = '' WHERE eni_id = 'eni-2'",
        "INSERT INTO cooling VALUES ('x', 1.0)",
        "INSERT INTO kept VALUES ('x', 'a', 'b', 'c', 1.0, 1.0)",
    ],
)
def test_a_row_that_makes_no_sense_costs_no_other(path, change):
    db = store.Store(path)
    db.put_lease(LEASE)
    second = dataclasses.replace(LEASE.key, container_id="c2")
    db.put_lease(dataclasses.replace(LEASE, key=second, ipv4=ipaddress.IPv4Address("10.0.1.6")))
    db.put_enis((ENI, dataclasses.replace(ENI, eni_id="eni-2")))
    db._db.execute(change)

    again = store.Store(path)
    loaded = again.load()

    assert LEASE in loaded.leases
    assert ENI in loaded.enis
    assert not again.rebuilt
    again.put_lease(dataclasses.replace(LEASE, ipv4=ipaddress.IPv4Address("10.0.1.6")))


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE leases",
        "ALTER TABLE enis DROP COLUMN cidr_block",
        "UPDATE leases SET pod_name = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_file_without_what_it_should_have_is_put_aside(path, change):
    db = store.Store(path)
    db.put_lease(LEASE)
    db._db.execute(change)
    db.close()

    again = store.Store(path)
    loaded = again.load()

    assert loaded == model.StoredState()
    assert again.rebuilt
    assert len(list(path.parent.glob("ipamd.db.damaged-*"))) == 1
    again.put_lease(LEASE)
    assert again.load().leases == (LEASE,)
