"""All Alibaba Cloud access; knows nothing of gRPC, Kubernetes or the kernel."""
