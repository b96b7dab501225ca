"""The controller half: requests and answers."""
