"""The documents of S3's protocol."""
