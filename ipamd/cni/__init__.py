"""What CNI says: requests parsed, results and errors told, the configuration on the node."""
