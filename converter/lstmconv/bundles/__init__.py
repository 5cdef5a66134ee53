"""What goes into a bundle beside the graph: probes, and weights as halves."""
