"""What S3 does: one plain async function for each operation."""
