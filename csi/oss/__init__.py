"""Volumes on object storage (OSS)."""
