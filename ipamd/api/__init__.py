"""What callers see: the gRPC services and the HTTP pages."""
