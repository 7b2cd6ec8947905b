"""The harness: datasets, runs, judging, records, tables, plots and the command line."""
