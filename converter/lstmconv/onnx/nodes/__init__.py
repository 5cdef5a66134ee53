"""What writes each node: `by_node` is the table."""
