"""Filesets of CPFS, and exports that lead to them: rules, filters, quotas and statuses."""

from tests.sim.sim_nas_harness import (
    GIB,
    LINGJUN,
    NETWORK,
    NEW_CPFS,
    new_fileset,
)


def test_filesets_do_not_nest_and_can_be_protected(nas):
    made = new_fileset(nas, DeletionProtection=True)
    inside = {"FileSystemId": LINGJUN, "FileSystemPath": "/pv-1/x/"}

    assert nas.refused("CreateFileset", **inside) == (403, "OperationDenied.NestedDir")
    assert nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=made) == (
        403,
        "InvalidOperation.DeletionProtection",
    )
    again = {**inside, "FileSystemPath": "/pv-1/"}
    assert nas.refused("CreateFileset", **again) == (403, "OperationDenied.AlreadyExists")


def test_a_fileset_is_deleted_only_while_all_of_its_file_system_are_at_rest(nas):
    first, second = new_fileset(nas, "/a/"), new_fileset(nas, "/b/")
    busy = (403, "OperationDenied.InvalidState")

    nas("CreateFileset", FileSystemId=LINGJUN, FileSystemPath="/c/")
    while_made = nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=first)
    nas.wait()
    nas("DeleteFileset", FileSystemId=LINGJUN, FsetId=first)
    while_going = [
        nas.refused("DeleteFileset", FileSystemId=LINGJUN, FsetId=each) for each in (first, second)
    ]
    nas.wait()

    assert [while_made, *while_going] == [busy] * 3
    nas("DeleteFileset", FileSystemId=LINGJUN, FsetId=second)


def test_a_dry_run_changes_no_fileset(nas):
    fileset = {"FileSystemId": LINGJUN, "FsetId": new_fileset(nas, Description="of-a-test")}
    nas("SetFilesetQuota", **fileset, SizeLimit=20 * GIB)
    before = nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"]

    nas("ModifyFileset", **fileset, Description="other", DryRun=True)
    nas("SetFilesetQuota", **fileset, SizeLimit=30 * GIB, DryRun=True)
    nas("CancelFilesetQuota", **fileset, DryRun=True)
    nas("DeleteFileset", **fileset, DryRun=True)
    nas.wait()

    assert nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"] == before
    assert nas.refused("SetFilesetQuota", **fileset) == (400, "MissingParameter")


def test_exports_are_found_by_what_they_are_and_a_dry_run_deletes_none(nas):
    cpfs = nas.make(**NEW_CPFS)
    fileset_id = nas("CreateFileset", FileSystemId=cpfs, FileSystemPath="/a/")["FsetId"]
    told = {"FileSystemId": cpfs, "ProtocolType": "NFS", "ProtocolSpec": "General"}
    service = nas("CreateProtocolService", **told)["ProtocolServiceId"]
    nas.wait()
    which = {"FileSystemId": cpfs, "ProtocolServiceId": service}
    root = nas("CreateProtocolMountTarget", **which, Path="/", **NETWORK)["ExportId"]
    of_set = nas("CreateProtocolMountTarget", **which, FsetId=fileset_id, **NETWORK)["ExportId"]
    nas.wait()

    def found(key, value):
        filters = [{"Key": key, "Value": value}]
        answer = nas("DescribeProtocolMountTarget", FileSystemId=cpfs, Filters=filters)
        return {each["ExportId"] for each in answer["ProtocolMountTargets"]}

    nas("DeleteProtocolMountTarget", **which, ExportId=of_set, DryRun=True)
    nas.wait()

    assert found("Paths", "/") == {root}
    assert found("Paths", "/a/,/b/") == found("FsetIds", fileset_id) == {of_set}
    assert found("VpcIds", NETWORK["VpcId"]) == found("ProtocolServiceIds", service)
    nas("DeleteProtocolMountTarget", **which, ExportId=of_set)
    nas("DeleteProtocolMountTarget", **which, ExportId=root)
    nas.wait()
    nas("DeleteProtocolService", **which, DryRun=True)
    assert nas("DescribeProtocolService", FileSystemId=cpfs)["ProtocolServices"]


def test_filesets_are_found_by_a_part_of_their_path_and_by_whole_ids(nas):
    made = [new_fileset(nas, f"/team-{n}/", Description=f"of-team-{n}") for n in range(3)]

    def found(key, value):
        filters = [{"Key": key, "Value": value}]
        told = nas("DescribeFilesets", FileSystemId=LINGJUN, Filters=filters)
        return sorted(each["FsetId"] for each in told["Entries"]["Entrie"])

    assert found("FileSystemPath", "/team") == sorted(made)
    assert found("Description", "team-1") == made[1:2]
    assert found("FsetIds", f"{made[0]},{made[2]}") == sorted((made[0], made[2]))
    assert found("FsetIds", made[0][:-1]) == []


def test_a_cpfs_file_system_has_ten_filesets_at_most(nas):
    cpfs = nas.make(**NEW_CPFS)
    for n in range(10):
        nas("CreateFileset", FileSystemId=cpfs, FileSystemPath=f"/set-{n}/")

    more = nas.refused("CreateFileset", FileSystemId=cpfs, FileSystemPath="/set-x/")

    assert more == (403, "OperationDenied.TooManyFilesets")


def test_a_released_fileset_may_still_be_told_of(nas):
    nas.cloud.remember("nas", {"keep_released": True})
    made = new_fileset(nas)
    which = {"FileSystemId": LINGJUN, "FsetId": made}
    nas("DeleteFileset", **which)
    nas.wait()

    (told,) = nas("DescribeFilesets", FileSystemId=LINGJUN)["Entries"]["Entrie"]

    assert (told["FsetId"], told["Status"]) == (made, "RELEASED")
    assert nas.refused("DeleteFileset", **which) == (404, "InvalidFsetId.NotFound")
    assert new_fileset(nas) != made, "the path is free again"
