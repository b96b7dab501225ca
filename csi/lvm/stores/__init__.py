"""The volumes of this node, as the kernel and LVM tell them. Blocking. Both halves use it."""
