"""s3gate: an S3 service over a directory of plain files."""

__version__ = "0.1.0"
