"""The disk driver's node half: devices, file systems and mounts, never the cloud."""
