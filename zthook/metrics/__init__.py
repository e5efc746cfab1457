"""What Prometheus is told: values of both daemons, and the way there."""
