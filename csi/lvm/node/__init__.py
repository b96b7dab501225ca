"""The node half: staging, publishing, growing."""
