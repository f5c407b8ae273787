"""What it costs and how fast it is: `make bench`, `make bench-quick`, `make bench WHAT=register`.

Compare ratios within one run only: machines differ, and the speed of a virtual machine varies. No test depends on a
measured time.
"""
