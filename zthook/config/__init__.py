"""The two configuration files and where everything lies.

Nothing is imported here: a command that wants only to know where the socket is reads no TOML.
"""
