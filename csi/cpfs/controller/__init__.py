"""The controller half: filesets, and storage channels between nodes and file systems."""
