"""Training loops, each short enough to read on a screen."""
