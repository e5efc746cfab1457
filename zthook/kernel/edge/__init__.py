"""An edge's kernel: what it must have for its mappings, what differs, and making it so."""
