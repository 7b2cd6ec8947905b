"""What is attacked: classifiers, their training, and detectors. May use attacks; knows no file, no command line."""
