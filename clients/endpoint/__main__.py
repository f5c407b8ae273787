"""`python -m` this package."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="xporter-endpoint")
