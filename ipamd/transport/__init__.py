"""How a call of the CNI executable gets here: a socket, HTTP/2, unary gRPC. Knows no addresses."""
