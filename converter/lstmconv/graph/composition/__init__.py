"""What layers and functions without a node of their own are composed of; `layers` and `functions` stand on it."""
