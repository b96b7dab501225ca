"""The CSI server: one package per driver, and what the drivers share."""
