"""`make demo`: a volume's whole life on the local cloud, told step by step."""
