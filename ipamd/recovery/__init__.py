"""From nothing to a pool that is served: every source is read, compared, and gone on with."""
