"""CRI v1: the stubs are made from cri.proto by `make proto`."""
