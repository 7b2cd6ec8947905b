"""Judging anew what a record says, from stored data alone, ours or somebody else's."""
