"""Endpoints: the XporterOnDemand agents on schools' servers, and the state of each.

An endpoint reports here with a token of its own school. XporterOnDemand itself is a separate protected API: it reports
which partner read what of a school (`reads`), and cannot change any school's endpoint.
"""
