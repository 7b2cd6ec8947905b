"""Numbers made from judged outcomes."""
