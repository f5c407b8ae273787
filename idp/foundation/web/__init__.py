"""Shared by all pages and endpoints: transactions, security headers, rate limits, error pages, outbound requests."""
