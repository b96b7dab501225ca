"""The controller half: where volumes are, and the buckets and prefixes made for them."""
