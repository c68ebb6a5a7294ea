"""The steps of a rotation: thin shells around one outside call each."""
