"""The simulated VPC on this machine: namespaces, veth pairs, and a router between them. Root only.

`<prefix>-vpc` is the VPC, `<prefix>-<node name>` an instance. Each interface is a veth pair: the
instance's end has the MAC the cloud gave it, the other end is a port of the VPC, named after the
interface's id. The VPC delivers by host routes and permanent neighbours, as a hypervisor does, and
drops what a VPC drops. Not here: any cloud rule; the caller says what there must be.
"""
