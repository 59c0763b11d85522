"""May they: decisions on values handed in; pure."""
