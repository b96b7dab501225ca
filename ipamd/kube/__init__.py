"""What Kubernetes tells and is told: pods, annotations, events, the Node. All may be away."""
