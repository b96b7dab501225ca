"""Who has which address: ADD, DEL, CHECK and GC, and what the slow rounds do to a lease."""
