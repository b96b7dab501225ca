import contextlib
import pathlib
import sqlite3

import pytest

from sim import consistency, store


def test_rows_come_back_after_a_restart_in_the_order_they_were_made(tmp_path: pathlib.Path) -> None:
    first = store.Store(tmp_path)
    with first.transaction():
        first.put("disk", "b", {"n": 1})
        first.put("disk", "a", {"n": 2})
        first.put("disk", "b", {"n": 3})
    first.close()

    second = store.Store(tmp_path)

    assert second.items("disk") == [("b", {"n": 3}), ("a", {"n": 2})]
    second.close()


def test_a_failed_transaction_leaves_no_trace(tmp_path: pathlib.Path) -> None:
    rows = store.Store(tmp_path)
    with rows.transaction():
        rows.put("disk", "a", {"zone": "k"})
        rows.put("disk", "c", {"zone": "k"})
    rows.by("disk", "zone", "k")
    generation = rows.generation

    with contextlib.suppress(RuntimeError), rows.transaction():
        rows.put("disk", "a", {"zone": "j"})
        rows.put("disk", "a", {"zone": "h"})
        rows.put("disk", "b", {"zone": "k"})
        rows.delete("disk", "c")
        raise RuntimeError

    assert dict(rows.items("disk")) == {"a": {"zone": "k"}, "c": {"zone": "k"}}
    assert sorted(row["zone"] for row in rows.by("disk", "zone", "k")) == ["k", "k"]
    assert rows.by("disk", "zone", "h") == []
    assert rows.generation == generation
    rows.close()
    again = store.Store(tmp_path)
    assert again.count("disk") == 2
    again.close()


def test_what_was_put_is_not_changed_by_its_owner(tmp_path: pathlib.Path) -> None:
    rows = store.Store(tmp_path)
    mine = {"tags": ["a"]}
    with rows.transaction():
        rows.put("disk", "a", mine)

    mine["tags"].append("b")

    assert rows.get("disk", "a") == {"tags": ["a"]}
    rows.close()


def test_an_index_follows_changes(tmp_path: pathlib.Path) -> None:
    rows = store.Store(tmp_path)
    with rows.transaction():
        rows.put("disk", "a", {"zone": "k"})
    assert rows.by("disk", "zone", "k") == [{"zone": "k"}]

    with rows.transaction():
        rows.put("disk", "a", {"zone": "j"})
        rows.put("disk", "b", {"zone": "k"})
        rows.delete("disk", "b")

    assert rows.by("disk", "zone", "k") == []
    assert rows.by("disk", "zone", "j") == [{"zone": "j"}]
    rows.close()


def test_writes_need_a_transaction_and_transactions_do_not_nest(tmp_path: pathlib.Path) -> None:
    rows = store.Store(tmp_path)

    with pytest.raises(store.StoreError):
        rows.put("disk", "a", {})
    with rows.transaction(), pytest.raises(store.StoreError), rows.transaction():
        pass

    rows.close()


def test_an_unknown_schema_is_refused_with_advice(tmp_path: pathlib.Path) -> None:
    store.Store(tmp_path).close()
    db = sqlite3.connect(tmp_path / store.FILE_NAME)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()

    with pytest.raises(store.StoreError, match=r"schema version 99.*delete the state directory"):
        store.Store(tmp_path)


def test_a_damaged_file_is_refused_with_advice(tmp_path: pathlib.Path) -> None:
    (tmp_path / store.FILE_NAME).write_bytes(b"not a database at all" * 100)

    with pytest.raises(store.StoreError, match="delete the state directory"):
        store.Store(tmp_path)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def now_s(self) -> float:
        return self.now


def test_the_view_shows_changes_after_the_lag(tmp_path: pathlib.Path) -> None:
    time = Time()
    view = consistency.View(time.now_s)
    rows = store.Store(tmp_path, on_commit=view.record)
    view.bind(rows)
    with rows.transaction():
        rows.put("disk", "old", {"s": 1})
        rows.put("disk", "gone", {"s": 1})
    view.lag_s = 10
    with rows.transaction():
        rows.put("disk", "old", {"s": 2})
        rows.delete("disk", "gone")
        rows.put("disk", "new", {"s": 2})
    time.now += 5
    with rows.transaction():
        rows.put("disk", "old", {"s": 3})

    assert view.get("disk", "old") == {"s": 1}
    assert view.get("disk", "new") is None
    assert sorted(row["s"] for row in view.all("disk")) == [1, 1]
    assert view.by("disk", "s", 3) == []
    time.now += 6
    assert view.get("disk", "old") == {"s": 2}
    assert sorted(row["s"] for row in view.all("disk")) == [2, 2]
    time.now += 5
    assert view.by("disk", "s", 3) == [{"s": 3}]
    rows.close()
