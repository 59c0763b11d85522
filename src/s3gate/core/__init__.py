"""The vocabulary: values, names, errors; pure, no input or output."""
