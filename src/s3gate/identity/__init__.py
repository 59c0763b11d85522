"""Who exists: users and their access keys."""
