"""The datasets, one file each, behind one contract."""
