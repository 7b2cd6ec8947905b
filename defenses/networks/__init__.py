"""The paper's networks, one dataset a file."""
