"""Who is calling: signatures and body encodings; pure."""
