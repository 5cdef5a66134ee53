"""What each node computes, apart from the recurrent ones."""
