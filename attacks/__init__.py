"""Crafting adversarial images: knows torch only, no dataset, no defense, no file."""
