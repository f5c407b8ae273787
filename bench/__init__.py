"""What it costs and how fast it is: `make bench`, `make bench-quick`, `make bench WHAT=register`.

Ratios within one run are the currency, because machines differ and this one is noisy. Never a test.
"""
