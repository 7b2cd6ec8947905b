"""Detectors of adversarial examples, one a file, behind one contract."""
