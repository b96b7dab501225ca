"""The controller half: makes, grows and deletes volumes over the NAS API."""
