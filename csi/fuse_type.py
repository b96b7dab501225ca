"""The FUSE clients of object storage, which the OSS driver asks for and csi-mounter runs."""

import enum


class FuseType(enum.StrEnum):
    """A client, by the name of its program."""

    OSSFS = "ossfs"
    OSSFS2 = "ossfs2"
    S3FS = "s3fs"
