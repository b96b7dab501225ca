"""All access to the Kubernetes API. Knows neither gRPC nor Alibaba Cloud nor the Linux node."""
