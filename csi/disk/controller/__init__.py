"""The disk driver's controller half: talks to the cloud, never to a Linux node."""
