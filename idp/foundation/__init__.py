"""Floor 0: what every room stands on, and nothing about schools.

Settings, database, clock, crypto, errors, scopes and logs; `web` holds what every page and endpoint
shares. It owns no table and imports no room.
"""
