"""Whether an evaluation can be trusted: known ways to overstate robustness, each looked for by one small check."""
