"""The simulator's hands on the machine: block devices that come and go with attachments."""
