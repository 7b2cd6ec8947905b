"""The registered classifiers: what each is built from and how it is trained."""
