"""The regression gate: a baseline, today's numbers, and what counts as a change between them."""
