"""Buckets: those the world declares, and the operations that make, tell and remove them."""

import dataclasses
from collections.abc import Iterable

from sim import actions
from sim import cloud as cloud_module
from sim.oss import blobs, calls, errors, model, rules, told, wire, xml

_SEEDED = "oss_seeded_bucket"
_TAGS_MAX = 20


@actions.seeder
def seed(cloud: cloud_module.Cloud) -> None:
    """Put the world's buckets; one that was deleted does not come back at the next start.

    After a reset, bytes of objects that went with it are removed.
    """
    rows = model.Rows(cloud.store)
    blobs.of(cloud.state_dir).sweep(rows.blobs(), unfinished=False)
    for declared in cloud.world.oss_buckets:
        if cloud.store.get(_SEEDED, declared.name) is not None:
            continue
        cloud.store.put(_SEEDED, declared.name, {})
        if rows.bucket(declared.name) is None:
            rows.put(
                model.Bucket(
                    name=declared.name,
                    region_id=declared.region_id or cloud.world.region_id,
                    acl=declared.acl,
                    storage_class=declared.storage_class,
                    created_s=cloud.clock.now_s(),
                )
            )


@calls.operation("ListBuckets", "GET", calls.Level.SERVICE)
def list_buckets(call: calls.Call) -> calls.Answer:
    """All buckets of the account, in every region."""
    prefix, marker = call.ask.values.get("prefix", ""), call.ask.values.get("marker", "")
    most = rules.positive(call.ask, "max-keys", 100, 1000)
    found = [
        row for row in call.rows.buckets() if row.name.startswith(prefix) and row.name > marker
    ]
    page, is_truncated = found[:most], len(found) > most
    items: list[xml.Item] = [told.owner(call.cloud.world.account_id)]
    if is_truncated:
        items += [("Prefix", prefix), ("Marker", marker), ("MaxKeys", str(most))]
        items += [("IsTruncated", "true"), ("NextMarker", page[-1].name if page else marker)]
    items.append(("Buckets", [("Bucket", _about(row)) for row in page]))
    return _answer(call, "ListAllMyBucketsResult", items)


@calls.operation("PutBucket", "PUT", calls.Level.BUCKET, changes=True)
def put_bucket(call: calls.Call) -> calls.Answer:
    """Make a bucket, or set the ACL of one's own."""
    name = call.ask.bucket
    rules.check_bucket_name(name)
    acl = call.ask.header("x-oss-acl") or call.ask.header("x-amz-acl")
    if acl:
        rules.acl(acl, of_object=False)
    storage_class = _configured_class(call)
    found = call.rows.bucket(name)
    if found is None:
        if len(call.rows.buckets()) >= call.cloud.world.quotas.oss_buckets:
            raise errors.OssError(
                "TooManyBuckets", 400, "You have attempted to create more buckets than allowed."
            )
        found = model.Bucket(
            name=name,
            region_id=call.cloud.world.region_id,
            acl="private",
            storage_class=storage_class or "Standard",
            created_s=call.now_s,
        )
    elif found.region_id != call.cloud.world.region_id or storage_class not in (
        "",
        found.storage_class,
    ):
        raise errors.OssError(
            "BucketAlreadyExists",
            409,
            "The requested bucket name is not available. The bucket namespace is shared by all "
            "users of the system. Please select a different name and try again.",
            ec="0015-00000104",
            more={"BucketName": name},
        )
    call.rows.put(dataclasses.replace(found, acl=acl or found.acl))
    return calls.Answer(headers={"Location": f"/{name}"})


@calls.operation("DeleteBucket", "DELETE", calls.Level.BUCKET, changes=True)
def delete_bucket(call: calls.Call) -> calls.Answer:
    """Delete an empty bucket."""
    found = call.bucket()
    if call.rows.objects(found.name) or call.rows.uploads(found.name):
        raise errors.OssError(
            "BucketNotEmpty",
            409,
            "The bucket has objects. Please delete them first.",
            ec="0015-00000301",
            more={"BucketName": found.name},
        )
    call.rows.delete(found)
    return calls.Answer(status=204)


@calls.operation("HeadBucket", "HEAD", calls.Level.BUCKET, ram="GetBucketInfo")
def head_bucket(call: calls.Call) -> calls.Answer:
    """Whether it is there."""
    found = call.bucket()
    return calls.Answer(headers={"x-oss-bucket-region": f"oss-{found.region_id}"})


@calls.operation("GetBucketInfo", "GET", calls.Level.BUCKET, "bucketInfo")
def get_bucket_info(call: calls.Call) -> calls.Answer:
    """Everything that is known of a bucket."""
    found = call.bucket()
    about: list[xml.Item] = [
        *_about(found),
        ("DataRedundancyType", "LRS"),
        ("AccessMonitor", "Disabled"),
        ("Comment", ""),
        told.owner(call.cloud.world.account_id),
        ("AccessControlList", (("Grant", found.acl),)),
    ]
    return _answer(call, "BucketInfo", [("Bucket", about)])


@calls.operation("GetBucketStat", "GET", calls.Level.BUCKET, "stat")
def get_bucket_stat(call: calls.Call) -> calls.Answer:
    """Bytes and counts. The real cloud's lag an hour behind; these do not."""
    found = call.bucket()
    objects = call.rows.objects(found.name)
    items: list[xml.Item] = [
        ("Storage", str(sum(row["size_bytes"] for row in objects))),
        ("ObjectCount", str(len(objects))),
        ("MultipartUploadCount", str(len(call.rows.uploads(found.name)))),
        ("LiveChannelCount", "0"),
        ("LastModifiedTime", str(int(call.now_s))),
    ]
    for name, told_class in (("Standard", "Standard"), ("IA", "InfrequentAccess")):
        sizes = [row["size_bytes"] for row in objects if row["storage_class"] == name]
        items.append((f"{told_class}Storage", str(sum(sizes))))
        items.append((f"{told_class}ObjectCount", str(len(sizes))))
    return _answer(call, "BucketStat", items)


@calls.operation("GetBucketLocation", "GET", calls.Level.BUCKET, "location")
def get_bucket_location(call: calls.Call) -> calls.Answer:
    """The bucket's region."""
    place = f"oss-{call.bucket().region_id}"
    return _answer(call, "LocationConstraint", place)


@calls.operation("GetBucketAcl", "GET", calls.Level.BUCKET, "acl")
def get_bucket_acl(call: calls.Call) -> calls.Answer:
    """The canned ACL."""
    found = call.bucket()
    return _answer(call, "AccessControlPolicy", _acl(call, found.acl))


@calls.operation("PutBucketAcl", "PUT", calls.Level.BUCKET, "acl", changes=True)
def put_bucket_acl(call: calls.Call) -> calls.Answer:
    """Set the canned ACL."""
    given = call.ask.header("x-oss-acl") or call.ask.header("x-amz-acl")
    acl = rules.acl(given, of_object=False)
    call.rows.put(dataclasses.replace(call.bucket(), acl=acl))
    return calls.Answer()


@calls.operation("GetObjectAcl", "GET", calls.Level.OBJECT, "acl")
def get_object_acl(call: calls.Call) -> calls.Answer:
    """The canned ACL of an object."""
    found = _object(call)
    return _answer(call, "AccessControlPolicy", _acl(call, found.acl))


@calls.operation("PutObjectAcl", "PUT", calls.Level.OBJECT, "acl", changes=True)
def put_object_acl(call: calls.Call) -> calls.Answer:
    """Set the canned ACL of an object."""
    call.rows.put(dataclasses.replace(_object(call), acl=rules.object_acl(call.ask)))
    return calls.Answer()


@calls.operation("GetBucketTags", "GET", calls.Level.BUCKET, "tagging", ram="GetBucketTagging")
def get_bucket_tags(call: calls.Call) -> calls.Answer:
    """The bucket's tags."""
    tags = call.bucket().tags
    rows = [("Tag", (("Key", key), ("Value", value))) for key, value in tags.items()]
    return _answer(call, "Tagging", [("TagSet", rows)])


@calls.operation(
    "PutBucketTags", "PUT", calls.Level.BUCKET, "tagging", ram="PutBucketTagging", changes=True
)
def put_bucket_tags(call: calls.Call) -> calls.Answer:
    """Replace the bucket's tags."""
    tags = dict(_tags(call.body))
    if len(tags) > _TAGS_MAX or not all(tags):
        raise errors.invalid_argument(f"A bucket has at most {_TAGS_MAX} tags, each with a key.")
    call.rows.put(dataclasses.replace(call.bucket(), tags=tags))
    return calls.Answer()


@calls.operation(
    "DeleteBucketTags",
    "DELETE",
    calls.Level.BUCKET,
    "tagging",
    ram="DeleteBucketTagging",
    changes=True,
)
def delete_bucket_tags(call: calls.Call) -> calls.Answer:
    """Remove the bucket's tags."""
    call.rows.put(dataclasses.replace(call.bucket(), tags={}))
    return calls.Answer(status=204)


@calls.operation("GetBucketVersioning", "GET", calls.Level.BUCKET, "versioning")
def get_bucket_versioning(call: calls.Call) -> calls.Answer:
    """Versioning was never switched on: the answer is empty."""
    call.bucket()
    return _answer(call, "VersioningConfiguration", [])


def _about(row: model.Bucket) -> list[xml.Item]:
    endpoint = f"oss-{row.region_id}"
    return [
        ("Name", row.name),
        ("CreationDate", told.iso(row.created_s)),
        ("Location", endpoint),
        ("Region", row.region_id),
        ("ExtranetEndpoint", f"{endpoint}.aliyuncs.com"),
        ("IntranetEndpoint", f"{endpoint}-internal.aliyuncs.com"),
        ("StorageClass", row.storage_class),
    ]


def _acl(call: calls.Call, acl: str) -> list[xml.Item]:
    owner = told.owner(call.cloud.world.account_id)
    if call.ask.dialect is wire.Dialect.S3:
        grant = ("Grant", (("Grantee", owner[1]), ("Permission", "FULL_CONTROL")))
        return [owner, ("AccessControlList", (grant,))]
    return [owner, ("AccessControlList", (("Grant", acl),))]


def _answer(call: calls.Call, root: str, items: str | Iterable[xml.Item]) -> calls.Answer:
    return calls.Answer(body=xml.document(root, items, namespace=told.namespace(call.ask)))


def _object(call: calls.Call) -> model.Object:
    bucket = call.bucket()
    found = call.rows.object(bucket.name, call.ask.key)
    if found is None:
        raise errors.no_such_key(call.ask.key)
    return found


def _configured_class(call: calls.Call) -> str:
    """StorageClass of a PutBucket's body, "" = none given. A location must be this region's."""
    if not call.body.strip():
        return ""
    root = errors.parsed(call.body)
    place = root.findtext("LocationConstraint") or ""
    region_id = call.cloud.world.region_id
    if place not in ("", region_id, f"oss-{region_id}", "us-east-1"):
        raise errors.OssError(
            "InvalidLocationConstraint",
            400,
            "The specified location-constraint is not valid.",
            more={"LocationConstraint": place},
        )
    given = root.findtext("StorageClass") or ""
    if given not in ("", *model.STORAGE_CLASSES):
        raise errors.invalid_argument(
            "The storage class you specified is invalid.", name="StorageClass", value=given
        )
    return given


def _tags(body: bytes) -> Iterable[tuple[str, str]]:
    for tag in errors.parsed(body).iter("Tag"):
        yield tag.findtext("Key") or "", tag.findtext("Value") or ""
