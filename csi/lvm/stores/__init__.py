"""The volumes of this node, as the kernel and LVM tell them. Blocking. Both halves use it.

`volumes` is the one door; behind it each type of volume has its `store`: `logical` (a package) for
LVM, `loop_files`, `quota_dirs`, `mount_points` and `whole_devices`.
"""
