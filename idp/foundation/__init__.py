"""What every package needs: settings, database, clock, cryptography, errors, scopes, logs, web. Nothing about schools.

`web` holds what every page and endpoint shares. It owns no table and imports no other package.
"""
