"""Scheduled jobs: their leases, the workers' heartbeats, and the deletion of rows past their retention period.

The jobs themselves are listed in `idp/worker.py`. Imports only the foundation.
"""
