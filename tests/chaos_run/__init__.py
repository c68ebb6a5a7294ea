"""``make chaos``: real workers on many targets while everything around them fails at random; see ``__main__``."""
