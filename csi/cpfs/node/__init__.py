"""The node half: mounts by the elastic client."""
