import pytest

from core import settings


def test_flags_win_over_the_environment_and_empty_variables_count_as_unset():
    reader = settings.Reader({"A": "env", "B": ""}, {"a": "flag", "b": None})

    assert reader.text("A", "default", flag="a") == "flag"
    assert reader.text("B", "default", flag="b") == "default"
    assert [o.origin for o in reader.origins] == ["flag --a", "default"]


def test_all_faults_are_reported_at_once_with_name_value_and_what_is_allowed():
    reader = settings.Reader({"BOOL": "maybe", "INT": "70", "CHOICE": "x"})

    reader.boolean("BOOL", default=True)
    reader.integer("INT", 5, minimum=1, maximum=60)
    reader.choice("CHOICE", "json", ("json", "text"))

    with pytest.raises(settings.SettingsError) as caught:
        reader.finish()
    assert len(caught.value.faults) == 3
    assert "BOOL: 'maybe'" in str(caught.value)
    assert "from 1 to 60" in str(caught.value)
    assert "json or text" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("true", True),
        ("YES", True),
        ("enable", True),
        ("1", True),
        ("no", False),
        ("Disable", False),
    ],
)
def test_booleans_are_read_in_every_spelling_of_the_reference(raw, value):
    assert settings.Reader({"B": raw}).boolean("B", default=not value) is value


def test_a_secret_setting_is_never_shown():
    reader = settings.Reader({"KEY": "hunter2"})

    assert reader.text("KEY", secret=True) == "hunter2"
    assert reader.origins[0].value == "***"


def test_a_fault_names_the_flag_and_the_variable_it_may_come_from():
    reader = settings.Reader({}, {"v": "x", "nodes": "y"})

    reader.integer("", 2, minimum=0, maximum=10, flag="v")
    reader.integer("NODES", 2, minimum=0, maximum=10, flag="nodes")

    assert [fault.partition(":")[0] for fault in reader.faults] == ["--v", "--nodes or NODES"]
