"""The disk driver: ECS cloud disks as file systems and raw block devices."""
