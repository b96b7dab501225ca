"""`csi-mounter`: what the mounter of FUSE volumes decides and writes. Knows no gRPC and no SDK."""
