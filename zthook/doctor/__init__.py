"""``zthook doctor``: follows a packet's way hop by hop, says what it saw, and what to do next."""
