"""The XporterOnDemand endpoint: an agent on a school's server that reads the school's MIS and sends it on.

Glossary. **MIS**: the management information system in which the school keeps its data. **Reader**: reads what one MIS
exports. **Record**: one pupil, lesson, mark … in the words that all MIS share (`records`). **Extract**: one file with
all records of one moment, sent whole. **Provider**: the identity provider, with which the school registers the agent.
**Receiver**: XporterOnDemand, which takes extracts. **Home**: the folder with the agent's settings, keys and log.

The program knows its provider and its receiver by URL and by protocol alone, and can be given away by itself.
"""

__version__ = "1.0.0"
