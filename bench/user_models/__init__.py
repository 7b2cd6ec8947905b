"""A user's own network: loaded, filled, and checked before anything runs."""
