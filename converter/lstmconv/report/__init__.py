"""One self-contained HTML page about a model: what it is, its graph, where engines part, its gates, its weights."""
