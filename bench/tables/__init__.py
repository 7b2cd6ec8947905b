"""Records as tables, and the words that tell runs apart."""
