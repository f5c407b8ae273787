"""Endpoints: the XporterOnDemand agents on schools' servers, and how each of them stands.

An endpoint reports here with a token of its own school. XporterOnDemand itself is a protected API beside us, and has no
power over any school's endpoint.
"""
