"""The per-node daemon that gives pods addresses of the VPC."""
