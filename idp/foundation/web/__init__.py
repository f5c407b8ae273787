"""What every page and endpoint shares: transactions, security headers, throttles, error pages, the one way out."""
