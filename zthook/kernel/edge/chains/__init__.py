"""The edge's rules: ``layout`` has the chains, the others what is in them."""
