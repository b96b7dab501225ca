"""Which addresses the node has, and how they become more and fewer. Knows no pods, no kernel."""
