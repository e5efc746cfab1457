"""What comes from elsewhere, bent in every way: what reads it must say no in its own words."""
