"""What every package needs: settings, database, clock, cryptography, errors, scopes, logs, web. It knows no schools.

`web` holds what every page and endpoint shares. It owns no table and imports no other package.
"""
