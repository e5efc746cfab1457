"""What zthook talks about: pure values and decisions, standard library only."""
