"""What older files mean: their configs and arrays in today's terms."""
