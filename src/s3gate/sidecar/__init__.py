"""A gateway for the life of one command."""
