"""Attributes, endpoints, options and credentials of OSS volumes: spec/csi-driver.md G 44, 47."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from csi.fuse_type import FuseType
from csi.oss import client_options, credentials, endpoint, other_options, runtime, volume_context
from csi.oss.controller import places

BASE = {"bucket": "bucket", "url": "oss-cn-hangzhou.aliyuncs.com"}


def parse(**attributes: str) -> volume_context.OssVolume:
    return volume_context.parse({**BASE, **attributes})


def plan(volume: volume_context.OssVolume, **changes: object) -> set[str]:
    wanted = {"read_only": False, "flags": (), "admin": (), "imds": "http://100.100.100.200"}
    return set(client_options.plan(volume, **{**wanted, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", ()),
        ("-o a -o b,e -ouid=1000", ("a", "b", "e", "uid=1000")),
        ("  -oallow_other   -o  max_stat_cache_size=0 ", ("allow_other", "max_stat_cache_size=0")),
        ("-o 'umask=022'", ("umask=022",)),
    ],
)
def test_g44_other_options(text: str, options: tuple[str, ...]) -> None:
    assert other_options.parse(text) == options


@pytest.mark.parametrize(
    "text", ["allow_other", "-o", "-o a b", "-o 'x", "-x", "-o a;b", "-o 'a b'", "-o -f"]
)
def test_g44_what_is_no_option(text: str) -> None:
    with pytest.raises(errors.InvalidField, match="otherOpts"):
        other_options.parse(text)


@pytest.mark.parametrize("option", ["use_cache=/tmp", "ram_role=http://100.100.100.200/role"])
def test_an_option_that_no_value_makes_right_is_refused_as_such(option: str) -> None:
    with pytest.raises(errors.InvalidField, match="is not a user's to set"):
        other_options.check("otherOpts", [option])


@given(st.sampled_from(sorted(other_options.RESERVED)), st.booleans(), st.text(max_size=5))
def test_g44_no_spelling_sets_what_is_not_a_users(name: str, upper: bool, value: str) -> None:
    with pytest.raises(errors.InvalidField):
        other_options.check("otherOpts", [f"{name.upper() if upper else name}={value}"])


@pytest.mark.parametrize(
    "option",
    [
        # ossfs2 runs it, as root.
        "credential_process=evil", "credential-process=evil", "flagfile=evil", "fromenv=ram_role",
        "http_proxy=elsewhere", "temp_dir=x", "disk_data_cache_dir=x", "fuse_device_fd=3",
        "oss_hdfs_client_options=x", "agentic_bucket=other", "some_new_credential_helper=x",
        "a_file_to_come=x", "uid=/etc/shadow", "umask=..\\057etc", "max_read=1\\054fd=5",
        "gid='1'", 'gid="1"', "gid=$(x)", "gid=`x`", "rootmode=40000", "ssl_client_cert=x",
    ],
)  # fmt: skip
def test_g44_no_option_names_programs_files_or_other_options(option: str) -> None:
    with pytest.raises(errors.InvalidField, match="otherOpts"):
        other_options.check("otherOpts", [option])


@pytest.mark.parametrize(
    "option",
    [
        "uid=1000", "umask=022", "allow_other", "use_path_request_style", "storage_class=IA",
        "max_stat_cache_size=1000", "dir_mode=0755", "upload_buffer_size=8M", "close_to_open=true",
        "cipher_suites=ECDHE+AESGCM:DHE", "log_file_max_size=100", "readdir_optimize",
        "direct_read_local_file_cache_size_mb=10", "ensure_diskfree=100", "nonempty",
    ],
)  # fmt: skip
def test_g44_what_tunes_a_client_is_a_users(option: str) -> None:
    assert other_options.check("otherOpts", [option]) == (option,)


@pytest.mark.parametrize(
    ("url", "over_vpc", "result"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", False, "https://oss-cn-hangzhou.aliyuncs.com"),
        ("oss-cn-hangzhou.aliyuncs.com", True, "http://oss-cn-hangzhou-internal.aliyuncs.com"),
        (
            "https://oss-cn-hangzhou.aliyuncs.com/",
            True,
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        ("oss-cn-hangzhou-internal.aliyuncs.com", True, "http://oss-cn-hangzhou-internal.aliyuncs.com"),
        ("cn-hangzhou.oss-data-acc.aliyuncs.com", True, "http://cn-hangzhou-internal.oss-data-acc.aliyuncs.com"),
        ("cn-hangzhou-internal.oss-data-acc.aliyuncs.com", True, "http://cn-hangzhou-internal.oss-data-acc.aliyuncs.com"),
        ("oss.private.example:8080", True, "https://oss.private.example:8080"),
        ("http://127.0.0.1:9", True, "http://127.0.0.1:9"),
    ],
)  # fmt: skip
def test_g44_urls_are_completed(url: str, over_vpc: bool, result: str) -> None:
    if "oss-data-acc" in url:
        # Its name ends otherwise than an internal endpoint's, so HTTPS is what it gets.
        result = result.replace("http://", "https://")
    assert endpoint.normalise(url, bucket="bucket", over_vpc=over_vpc) == result


@pytest.mark.parametrize(
    "url", ["bucket.oss-cn-hangzhou.aliyuncs.com", "ftp://x", "http://a/b", "http://u@h", "", "a b"]
)
def test_g44_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(errors.InvalidField, match="url"):
        parse(url=url)


@pytest.mark.parametrize(
    ("attributes", "region"),
    [
        ({}, "cn-hangzhou"),
        ({"url": "oss-cn-beijing-internal.aliyuncs.com"}, "cn-beijing"),
        ({"url": "s3.oss-cn-beijing.aliyuncs.com"}, "cn-beijing"),
        ({"url": "cn-beijing-internal.oss-data-acc.aliyuncs.com"}, "cn-beijing"),
        ({"url": "oss.example", "region": "cn-x"}, "cn-x"),
        ({"url": "oss.example"}, ""),
    ],
)
def test_g44_the_region_of_a_signature(attributes: dict[str, str], region: str) -> None:
    assert parse(**attributes).region == region


def test_g44_signature_v4_needs_a_region() -> None:
    assert {"sigv4", "region=cn-hangzhou"} <= plan(parse(sigVersion="v4"))
    assert "sigv4" not in plan(parse())
    assert "sigv4" in plan(parse(region="cn-hangzhou"))
    assert "sigv4" not in plan(parse(region="cn-hangzhou", sigVersion="v1"))
    assert "sigv1" in plan(parse(sigVersion="V1"))
    assert "sigv1" not in plan(parse())
    with pytest.raises(errors.InvalidField, match="region"):
        plan(parse(url="oss.example", sigVersion="V4"))


def test_g44_keys_are_of_any_case_and_trimmed() -> None:
    told = volume_context.parse({" Bucket ": " bucket ", "URL": BASE["url"], "FUSETYPE": "OSSFS2"})

    assert (told.bucket, told.fuse_type) == ("bucket", FuseType.OSSFS2)


@pytest.mark.parametrize(
    ("attributes", "secrets", "words"),
    [
        ({}, {}, "have no access key"),
        ({}, {"akId": "a"}, "lack akSecret"),
        ({}, {"AccessKeyId": "a", "AccessKeySecret": "b", "SecurityToken": "c"}, "lack Expiration"),
        ({}, {"akId": "a", "akSecret": "b", "AccessKeyId": "c"}, "one pair is allowed"),
        (
            {"authType": "sts", "roleName": "r"},
            {"akId": "a", "akSecret": "b"},
            "exclude each other",
        ),
        (
            {"authType": "public"},
            {"accesskeyid": "a", "accesskeysecret": "b"},
            "exclude each other",
        ),
    ],
)
def test_g44_credentials_that_contradict_each_other(
    attributes: dict[str, str], secrets: dict[str, str], words: str
) -> None:
    with pytest.raises(errors.InvalidField, match=words):
        credentials.parse(parse(**attributes), secrets, fallback=None)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"authType": "sts"}, "roleName is required"),
        ({"authType": "rrsa"}, "roleName or roleArn is required"),
        ({"authType": "rrsa", "roleArn": "a"}, "oidcProviderArn is required"),
        ({"assumeRoleArn": "a"}, "needs authType rrsa"),
        ({"authType": "rrsa", "roleName": "r", "externalId": "e"}, "needs assumeRoleArn"),
        ({"authType": "public", "fuseType": "ossfs2"}, "not offered by ossfs2"),
        ({"encrypted": "aes256", "fuseType": "ossfs2"}, "not offered by ossfs2"),
        ({"encrypted": "rot13"}, "allowed: aes256 or kms"),
        ({"metricsTop": "many"}, "metricsTop"),
        ({"path": "/a/../../b"}, "is not a path in a bucket"),
        ({"authType": "agent-identity"}, "needs a FUSE pod"),
        ({"agenticBucket": "a-b", "bucketSpace": "s-p"}, "agenticBucket exclude each other"),
        ({"bucket": "", "agenticBucket": "a-b"}, "bucketSpace or bucketSpacePrefix is required"),
        ({"bucketSpace": "s-p"}, "needs agenticBucket"),
        ({"bucketSpacePrefix": "s-p"}, "needs agenticBucket"),
        (
            {"bucket": "", "agenticBucket": "a-b", "bucketSpace": "s-p", "fuseType": "s3fs"},
            "not offered by s3fs",
        ),
    ],
)
def test_g44_attributes_that_cannot_be(attributes: dict[str, str], words: str) -> None:
    with pytest.raises(errors.InvalidField, match=words):
        parse(**attributes)


def test_g44_a_later_option_wins_and_the_drivers_own_win_over_all() -> None:
    volume = parse(otherOpts="-o dbglevel=info -o uid=2")

    made = plan(volume, flags=("uid=1", "gid=1"), admin=("gid=2", "max_stat_cache_size=0"))

    assert {"dbglevel=info", "uid=2", "gid=1", "max_stat_cache_size=0"} <= made
    assert not {"dbglevel=warn", "uid=1", "gid=2"} & made
    assert "url=https://oss-cn-hangzhou.aliyuncs.com" in made


OSSFS, OSSFS2, S3FS = FuseType
AGENTIC = {"bucket": "", "agenticBucket": "agentic", "bucketSpace": "space"}


@pytest.mark.parametrize(
    ("kind", "attributes", "read_only", "expected"),
    [
        (OSSFS, {}, False, {"url=https://oss-cn-hangzhou.aliyuncs.com", "allow_other"}),
        (OSSFS, {"sigVersion": "v4"}, True, {"sigv4", "region=cn-hangzhou", "ro"}),
        (OSSFS, {"sigVersion": "v1"}, False, {"sigv1"}),
        (OSSFS, {"url": "http://10.0.0.1"}, False, {"use_path_request_style"}),
        (OSSFS, {"encrypted": "aes256"}, False, {"use_sse=1"}),
        (OSSFS, {"encrypted": "kms"}, False, {"use_sse=kmsid"}),
        (OSSFS, {"encrypted": "kms", "kmsKeyId": "k-1"}, False, {"use_sse=kmsid:k-1"}),
        (OSSFS, {"metricsTop": "5"}, False, {"use_metrics", "metrics_top=5"}),
        (OSSFS, {"authType": "public"}, False, {"public_bucket=1"}),
        (
            OSSFS, {"authType": "sts", "ramRole": "r"}, False,
            {"ram_role=http://100.100.100.200/latest/meta-data/ram/security-credentials/r"},
        ),
        (
            OSSFS2, {"path": "/a"}, True,
            {
                "oss_endpoint=https://oss-cn-hangzhou.aliyuncs.com", "oss_bucket=bucket",
                "oss_bucket_prefix=a/", "ro=true", "log_level=info", "log_dir=/dev/stdout",
            },
        ),
        (OSSFS2, {"region": "cn-x"}, False, {"oss_region=cn-x"}),
        (OSSFS, AGENTIC, False, {"auto_create_bucket", "agentic_bucket=agentic"}),
        (
            OSSFS2, AGENTIC, False,
            {"oss_bucket=space", "auto_create_bucket=true", "agentic_bucket=agentic"},
        ),
        (OSSFS2, {"authType": "sts", "roleName": "r"}, False, {"ram_role=r"}),
        (OSSFS2, {"metricsTop": "5"}, False, {"use_metrics=true", "metrics_top=5"}),
        (S3FS, {}, True, {"endpoint=cn-hangzhou", "ro"}),
        (S3FS, {"url": "http://127.0.0.1:9", "region": "r"}, False, {"use_path_request_style"}),
        (S3FS, {"authType": "public"}, False, {"public_bucket=1"}),
    ],
)  # fmt: skip
def test_g44_the_table_of_options(
    kind: FuseType, attributes: dict[str, str], *, read_only: bool, expected: set[str]
) -> None:
    made = plan(parse(fuseType=kind, **attributes), read_only=read_only)

    assert expected <= made


def test_g44_mount_flags_are_for_all_but_ossfs2() -> None:
    assert "uid=1" in plan(parse(), flags=("uid=1",))
    assert "uid=1" not in plan(parse(fuseType="ossfs2"), flags=("uid=1",))


def test_g44_a_whole_bucket_has_no_prefix() -> None:
    part, whole = parse(fuseType="ossfs2", path="/a/b/"), parse(fuseType="ossfs2")

    assert {"oss_bucket=bucket", "oss_bucket_prefix=a/b/"} <= plan(part)
    assert not any(option.startswith("oss_bucket_prefix") for option in plan(whole))
    assert client_options.source(parse(path="/a")) == "bucket:/a"
    assert client_options.source(parse()) == "bucket"


def test_g44_secrets_never_show() -> None:
    key = credentials.Credential(key_id="id", secret="hunter2", token="t0ken", expiration="e")
    volume = parse(akId="id", akSecret="hunter2")

    assert "hunter2" not in repr(key) + repr(volume)
    assert "t0ken" not in repr(key)


def test_g47_the_table_of_runtimes() -> None:
    expected = {
        (0, 0, 0): runtime.Runtime.RUNC, (0, 0, 1): runtime.Runtime.MICRO_VM,
        (0, 1, 0): runtime.Runtime.RUNC, (0, 1, 1): runtime.Runtime.RUND,
        (1, 0, 0): runtime.Runtime.COCO, (1, 0, 1): runtime.Runtime.MICRO_VM,
        (1, 1, 0): None, (1, 1, 1): runtime.Runtime.RUND,
    }  # fmt: skip
    for case in itertools.product((0, 1), repeat=3):
        direct, socket, skip = map(bool, case)
        found = runtime.choose(direct=direct, socket=socket, skip_global_mount=skip)
        assert found is expected[case], case
        if found is runtime.Runtime.RUNC:
            runtime.require_container(direct=direct, socket=socket, skip_global_mount=skip)
        else:
            with pytest.raises(errors.Unsupported):
                runtime.require_container(direct=direct, socket=socket, skip_global_mount=skip)


@given(st.text(max_size=140), st.sampled_from(["", "base", "a/b"]))
def test_ids_lead_back_to_their_place(name: str, path: str) -> None:
    base = places.Place(
        policy=places.DeletePolicy.DELETE, region_id="cn-hangzhou", bucket="bucket", path=path
    )

    made = places.below(base, name)

    assert places.parse(made.volume_id) == made
    assert len(made.volume_id.encode()) <= 128
    assert made.path.startswith(f"{path}/".lstrip("/"))
    assert ".." not in made.path.split("/")


@given(st.text(max_size=140), st.text(max_size=140), st.sampled_from(["", "base", "a/b"]))
def test_a_place_is_of_the_volume_it_was_made_for_alone(name: str, other: str, path: str) -> None:
    base = places.Place(
        policy=places.DeletePolicy.DELETE, region_id="cn-hangzhou", bucket="bucket", path=path
    )
    directory = places.below(base, name)
    bucket = dataclasses.replace(base, bucket=places.bucket_name("csi-x", name), path="")

    for place in (directory, bucket):
        assert places.is_of(place, places.written(name))
        assert places.is_of(place, places.written(other)) == (other == name)
        assert not places.is_of(place, "")


@given(st.text(max_size=40))
def test_other_ids_have_no_place(text: str) -> None:
    if not text.startswith("oss#"):
        assert places.parse(text) is None
