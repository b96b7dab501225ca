"""Volumes of type LVM: what is done to groups, thin pools, logical volumes and snapshots.

| module | what |
| logical_volumes | the store: logical volumes found, listed, grown and opened |
| creation | how one comes |
| deletion | how one goes |
| from_source | one that begins with the content of another, or of a snapshot |
| snapshots | snapshots of them |
| logical_rows | which row of LVM's report a request means; pure |
| lv_device | the device of one, certainly |
| conditions | whether one is well; pure |
| wiping | content made unreadable before the volume goes |
| groups | which groups may be used, through which disks, and what room they have |
| placement | where a volume fits; pure |
| thin_pools | when a thin pool takes no new volume; pure |
| new_groups | groups and pools that the settings ask for |
| group_disks | whether disks may be made a group |
| group_records | which disks such groups were made of |
| upkeep | what grows without a request: snapshots and pools that fill up |
| sweep | what a collection does to them, see `csi.lvm.collection` |
| unclaimed | those of the old drivers that are made before it is sure that they may be |
"""
