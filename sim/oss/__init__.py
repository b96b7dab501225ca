"""The simulated Object Storage Service: OSS REST, and the S3 dialect that OSS offers beside it.

Importing it registers its operations with sim.oss.calls, and the seeder of the world's buckets with
sim.actions. Objects are files below the state directory (blobs.py); what is known of them are rows
of the store (model.py). One request goes through front.py.
"""

from sim.oss import (
    bucket_operations,
    copying,
    lists,
    multipart,
    multipart_lists,
    object_operations,
    tagging,
)

__all__ = [
    "bucket_operations",
    "copying",
    "lists",
    "multipart",
    "multipart_lists",
    "object_operations",
    "tagging",
]
