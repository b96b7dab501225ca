"""Object storage by oss2, for provisioning and for looking why a mount failed. Blocking.

The library is loaded at the first use: a node process never uses it itself. All errors are
`cloud.errors`, with words for an operator.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cloud import errors as cloud_errors
from core import errors

_TIMEOUT_S = 8
_PAGE = 1000
_COPY_AT_ONCE_BYTES = 1 << 30
"""Larger objects are copied in parts. Source: the page of CopyObject."""
_PART_BYTES, _PARTS_MAX = 256 << 20, 10_000
_META = "x-oss-meta-"
_KEPT = frozenset(
    {
        "content-type", "content-disposition", "content-encoding", "content-language",
        "cache-control", "expires", "x-oss-storage-class", "x-oss-server-side-encryption",
        "x-oss-server-side-encryption-key-id",
    }
)  # fmt: skip
"""Headers of an object that its copy has too; and all that begin with _META."""
_NO_SUCH_KEY = 404
_BAD_REQUEST = 400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Who asks. token: "" = a permanent key. key_id: "" = nobody, as of a public bucket."""

    key_id: str
    secret: str = dataclasses.field(repr=False)
    token: str = dataclasses.field(default="", repr=False)


ReadKey = Callable[[], Key]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a bucket holds, as OSS counts it: about an hour late."""

    stored_bytes: int
    objects: int


class Bucket:
    """One bucket. url: endpoint with its scheme. region_id: "" = not known."""

    def __init__(self, *, url: str, region_id: str, name: str, key: ReadKey) -> None:
        self.name = name
        self._url = url
        self._region_id = region_id
        self._key = key
        self._session: Any = None

    def require_listable(self, prefix: str) -> None:
        """Return when keys below *prefix* can be listed, which is what clients begin with."""
        with self._calling("ListObjects") as bucket:
            bucket.list_objects_v2(prefix=prefix, max_keys=1)

    def put_marker(self, key: str, meta: Mapping[str, str]) -> bool:
        """Make the empty object *key*; False when there is one already."""
        headers = {f"{_META}{name}": text for name, text in meta.items()}
        headers |= {"x-oss-forbid-overwrite": "true", "Content-Type": "application/x-directory"}
        with self._calling("PutObject") as bucket:
            try:
                bucket.put_object(key, b"", headers=headers)
            except Exception as e:
                if getattr(e, "code", "") == "FileAlreadyExists":
                    return False
                raise
        return True

    def read_marker(self, key: str) -> dict[str, str] | None:
        """Metadata of object *key*; None when there is none."""
        with self._calling("HeadObject") as bucket:
            try:
                found = bucket.head_object(key)
            except Exception as e:
                if getattr(e, "status", 0) == _NO_SUCH_KEY and _code(e) != "NoSuchBucket":
                    return None
                raise
        return {
            name.lower().removeprefix(_META): text
            for name, text in found.headers.items()
            if name.lower().startswith(_META)
        }

    def pages(self, prefix: str) -> Iterator[list[tuple[str, int]]]:
        """(key, bytes) of what is below *prefix*, a page at a time, from the start each time."""
        token = ""
        while True:
            with self._calling("ListObjects") as bucket:
                page = bucket.list_objects_v2(
                    prefix=prefix, max_keys=_PAGE, continuation_token=token
                )
            found = [(row.key, int(row.size)) for row in page.object_list]
            if found:
                yield found
            if not page.is_truncated:
                return
            token = page.next_continuation_token

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, at most a thousand. Raises CloudDenied when one was kept."""
        with self._calling("DeleteMultipleObjects") as bucket:
            gone = set(bucket.batch_delete_objects(list(keys)).deleted_keys)
        kept = [key for key in keys if key not in gone]
        if kept:
            raise cloud_errors.CloudDenied(
                action="DeleteMultipleObjects",
                code="AccessDenied",
                status=403,
                message=f"{len(kept)} objects were kept, such as {kept[0]!r}",
            )

    def copy(self, source: str, target: str, size_bytes: int) -> None:
        """Copy an object within the bucket."""
        with self._calling("CopyObject") as bucket:
            if size_bytes <= _COPY_AT_ONCE_BYTES:
                bucket.copy_object(self.name, source, target)
            else:
                self._copy_parts(bucket, source, target, size_bytes)

    def create(self, tags: Mapping[str, str]) -> None:
        """Make the bucket, private, with *tags*; one that is ours already gets them."""
        import oss2  # noqa: PLC0415

        with self._calling("PutBucket") as bucket:
            bucket.create_bucket()
        told = oss2.models.Tagging()
        for name, text in tags.items():
            told.tag_set.add(name, text)
        with self._calling("PutBucketTags") as bucket:
            bucket.put_bucket_tagging(told)

    def read_tags(self) -> dict[str, str] | None:
        """The bucket's tags; None when there is no such bucket."""
        with self._calling("GetBucketTags") as bucket:
            try:
                return dict(bucket.get_bucket_tagging().tag_set.tagging_rule)
            except Exception as e:
                if getattr(e, "code", "") == "NoSuchBucket":
                    return None
                raise

    def is_empty(self) -> bool:
        """Whether it has no object."""
        return next(self.pages(""), None) is None

    def usage(self) -> Usage:
        """What it holds."""
        with self._calling("GetBucketStat") as bucket:
            found = bucket.get_bucket_stat()
        return Usage(stored_bytes=int(found.storage_size_in_bytes), objects=int(found.object_count))

    def abort_uploads(self, prefix: str) -> None:
        """Give up the uploads below *prefix* that nobody finished; their parts cost money."""
        import oss2  # noqa: PLC0415

        with self._calling("ListMultipartUploads") as bucket:
            left = [
                (row.key, row.upload_id)
                for row in oss2.MultipartUploadIterator(bucket, prefix=prefix)
            ]
        for key, upload_id in left:
            with self._calling("AbortMultipartUpload") as bucket:
                try:
                    bucket.abort_multipart_upload(key, upload_id)
                except Exception as e:
                    if getattr(e, "code", "") != "NoSuchUpload":
                        raise

    def remove(self) -> None:
        """Delete the empty bucket; one that is gone is fine."""
        with self._calling("DeleteBucket") as bucket:
            try:
                bucket.delete_bucket()
            except Exception as e:
                if getattr(e, "code", "") != "NoSuchBucket":
                    raise

    def _copy_parts(self, bucket: Any, source: str, target: str, size_bytes: int) -> None:
        import oss2  # noqa: PLC0415

        # An upload knows nothing of its source, unlike a copy.
        told = {
            name: text
            for name, text in bucket.head_object(source).headers.items()
            if name.lower() in _KEPT or name.lower().startswith(_META)
        }
        upload_id = bucket.init_multipart_upload(target, headers=told).upload_id
        try:
            parts = []
            each = max(_PART_BYTES, -(-size_bytes // _PARTS_MAX))
            for number, start in enumerate(range(0, size_bytes, each), 1):
                last = min(start + each, size_bytes) - 1
                part = bucket.upload_part_copy(
                    self.name, source, (start, last), target, upload_id, number
                )
                parts.append(oss2.models.PartInfo(number, part.etag))
            bucket.complete_multipart_upload(target, upload_id, parts)
        except BaseException:
            with contextlib.suppress(Exception):
                bucket.abort_multipart_upload(target, upload_id)
            raise

    @contextlib.contextmanager
    def _calling(self, action: str) -> Iterator[Any]:
        """oss2's client of the bucket; its errors leave as ours."""
        import oss2  # noqa: PLC0415

        if self._session is None:
            self._session = oss2.Session()
        key = self._key()
        # V4 signs for a region, and one that is guessed is wrong.
        version = oss2.AUTH_VERSION_4 if self._region_id else oss2.AUTH_VERSION_1
        auth: Any
        if not key.key_id:
            auth = oss2.AnonymousAuth()
        elif key.token:
            auth = oss2.StsAuth(key.key_id, key.secret, key.token, auth_version=version)
        else:
            auth = oss2.make_auth(key.key_id, key.secret, version)
        bucket = oss2.Bucket(
            auth,
            self._url,
            self.name,
            session=self._session,
            connect_timeout=_TIMEOUT_S,
            region=self._region_id or None,
        )
        try:
            yield bucket
        except errors.Error:
            raise
        except Exception as e:  # noqa: BLE001 - oss2 lets those of requests through
            raise translate(action, self.name, self._url, e) from None


def translate(action: str, bucket: str, url: str, error: Exception) -> errors.Error:
    """Our error for what oss2 raised, with what an operator may do. Pure."""
    if isinstance(error, errors.Error):
        return error
    code, status = _code(error), int(getattr(error, "status", 0) or 0)
    if status <= 0 or not code:
        return cloud_errors.CloudUnavailable(
            action=action,
            code="NoAnswer",
            status=0,
            message=f"{url} does not answer ({type(error).__name__}); look at url, network and DNS",
        )
    details = getattr(error, "details", None) or {}
    kind, message = _meaning(code, bucket, url, details)
    return kind(
        action=action,
        code=code,
        status=status,
        message=message,
        request_id=str(getattr(error, "request_id", "") or ""),
    )


def _code(error: Exception) -> str:
    return str(getattr(error, "code", "") or "")


_MEANINGS: Mapping[str, tuple[type[cloud_errors.CloudError], str]] = {
    "InvalidAccessKeyId": (
        cloud_errors.CloudUnauthenticated,
        "there is no such access key id, or it is off",
    ),
    "SignatureDoesNotMatch": (
        cloud_errors.CloudUnauthenticated,
        "the access key's secret is wrong (akSecret or AccessKeySecret)",
    ),
    "SecurityTokenExpired": (cloud_errors.CloudUnauthenticated, "the security token has expired"),
    "InvalidSecurityToken": (cloud_errors.CloudUnauthenticated, "the security token is wrong"),
    "RequestTimeTooSkewed": (
        cloud_errors.CloudPrecondition,
        "this machine's clock is off by more than 15 minutes (at OSS it is {server_time}); set it",
    ),
    "NoSuchBucket": (cloud_errors.CloudNotFound, "bucket {bucket} does not exist at {url}"),
    "BucketAlreadyExists": (
        cloud_errors.CloudExists,
        "bucket {bucket} belongs to somebody else, or has another storage class",
    ),
    "AccessDenied": (
        cloud_errors.CloudDenied,
        "the credentials lack a permission on bucket {bucket}, such as oss:ListObjects",
    ),
}
"""What codes of OSS mean, and what to do. Source: the error pages of OSS."""
_ELSEWHERE = "bucket {bucket} is in another region; set url to {endpoint}"
_SIGNED_ELSEWHERE = "the request was signed for another region than that of {url}; set region"


def _meaning(
    code: str, bucket: str, url: str, details: Mapping[str, str]
) -> tuple[type[cloud_errors.CloudError], str]:
    told, endpoint = str(details.get("Message", "")), details.get("Endpoint", "")
    kind, words = _MEANINGS.get(code, (None, told or code))
    if code == "AccessDenied" and endpoint:
        kind, words = cloud_errors.CloudPrecondition, _ELSEWHERE
    elif code == "InvalidArgument" and "region" in told:
        kind, words = cloud_errors.CloudPrecondition, _SIGNED_ELSEWHERE
    if kind is None:
        return cloud_errors.classify(code, _BAD_REQUEST), words
    server_time = details.get("ServerTime", "another time")
    return kind, words.format(bucket=bucket, url=url, endpoint=endpoint, server_time=server_time)
