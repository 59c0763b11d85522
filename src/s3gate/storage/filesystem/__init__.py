"""The backend over a directory of plain files."""
