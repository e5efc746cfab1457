"""Other people's firewalls: where our packets have to be let through, and how they are."""
