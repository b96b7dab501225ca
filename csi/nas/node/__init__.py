"""The node half: mounts volumes into pods."""
