"""A fictional British secondary school, in the export formats of five MIS: for tests and demonstrations.

    python -m clients.endpoint.fictional_school FOLDER [--pupils 600] [--seed 1] [--mis sims]
    python -m clients.endpoint.fictional_school FOLDER --change leaves|joins|marks
    python -m clients.endpoint.fictional_school FOLDER --serve 5004

The same seed makes the same school. All of it is invented: e-mail addresses end in `.example`, telephone numbers are
from Ofcom's range for use in drama, postcodes begin with ZZ, and UPNs are of a local authority that does not exist.
"""
