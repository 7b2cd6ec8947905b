"""What lies on disk beside the records: the store, who is at work in it, and what was answered before."""
