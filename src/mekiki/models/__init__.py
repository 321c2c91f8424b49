"""The outside world: models, servers and hubs, each behind one file."""
