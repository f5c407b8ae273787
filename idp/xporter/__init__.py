"""Endpoints: the XporterOnDemand agents on schools' servers, and the state of each.

An endpoint reports here with a token of its own school. XporterOnDemand itself is a separate protected API, and cannot
change any school's endpoint.
"""
