"""What travels between processes: the edge's API, tokens, the local control sockets."""
