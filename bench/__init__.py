"""`make bench`: workloads beside their peers, as a table and as JSON in bench/out/."""
