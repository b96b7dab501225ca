"""The node half: FUSE mounts by csi-mounter, bound into pods."""
