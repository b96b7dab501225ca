"""File systems on this machine: directory trees, and NFS servers that export them. Root only.

A tree is a directory below the state directory. Each export is a kernel NFS server (knfsd) in
namespaces of its own, so that it has its own address and its own "/"; the namespaces are named
after the state directory. A router namespace joins them with this machine. `DIR/hosts` has their
names. A kernel without knfsd has trees only. Not here: any cloud rule.
"""
