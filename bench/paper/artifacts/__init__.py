"""The paper's tables and figures, a file each or a file for those that are put together alike."""
