"""Who runs a sweep: this process, several of this machine, or a cluster's."""
