"""What the node halves of all drivers share. Controllers must not import it."""
