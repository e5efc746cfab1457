"""The two configuration files and where everything lies."""
