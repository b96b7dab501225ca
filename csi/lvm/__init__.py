"""Node-local volumes: LVM and its like. One process on each node runs both halves."""
