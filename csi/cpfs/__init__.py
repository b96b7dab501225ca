"""The driver of CPFS for Lingjun (bmcpfsplugin), and what is left of CPFS 1.0 (cpfsplugin)."""
