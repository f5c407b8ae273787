"""Run the command `xporter-endpoint` by `python -m`, under whatever name the package is installed."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="xporter-endpoint")
