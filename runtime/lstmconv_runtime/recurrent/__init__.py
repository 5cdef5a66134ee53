"""Recurrent nodes: readable cells, and the loops that run them."""
