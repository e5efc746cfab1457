"""install.sh on machines that are folders: what it plans, does, and leaves where a step fails."""
