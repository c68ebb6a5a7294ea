"""Evidence for auditors: from the entries of histories to rotations, lives of keys and exceptions. Pure."""
