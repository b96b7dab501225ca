"""A Kubernetes cluster on this machine: two nodes, a control plane, a simulated cloud below them.

`python -m tests.support.cluster --help` is the command; `make cluster` calls it. Each machine is
an instance of cloudsim's VPC: a network namespace with real interfaces, and namespaces of its own
for mounts and processes, so that programs find their usual paths and end with their machine.
"""
