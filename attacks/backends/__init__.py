"""The same attacks as other libraries implement them. Nothing here imports a library before it is asked for."""
