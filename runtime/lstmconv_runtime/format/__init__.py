"""The bundle: the graph, its nodes, and the file they are kept in."""
