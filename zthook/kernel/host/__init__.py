"""A host's kernel: what it must have for its guests, what differs, and making it so."""
