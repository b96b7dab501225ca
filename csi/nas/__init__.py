"""The NAS driver: NFS file systems of Alibaba Cloud NAS, and NFS servers of one's own."""
