"""`python -m s3gate` is the `s3gate` command."""

from s3gate.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
