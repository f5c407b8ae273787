"""XporterOnDemand, the API that has the schools' data: endpoints send extracts, partners read what is shared with them.

It is a protected resource (RFC 9728) behind the provider's access tokens, with a database and a key of its own.
README.md explains what an API behind these tokens has to check, in the order in which it is done here.

* `settings`, `keys`    the environment, and the key that authenticates us to the provider
* `tables`, `database`  what is stored, and transactions
* `snapshots`           connections for partners' reads
* `storage`             reading records of one school, by page, by change, by id
* `provider`            each request to the provider: metadata, keys, introspection, tokens of our own
* `proofs`, `tokens`    whether a request may be served, and for which school
* `fields`              which members are served under which scopes: the provider's catalogue
* `bulk`                responses with all records: how many at once, and how long
* `pages`, `cursors`    pages of a collection and of its changes, and cursors to the next one
* `oneroster*`          the same records as OneRoster 1.2: resources, their queries, CSV
* `reads`               who read what, counted and reported
* `extracts`, `extract_file`, `shapes`   receiving an extract, and checking its lines
* `worker`, `applying`, `retention`       the thread that applies extracts and deletes old rows
* `problems`, `web`     refusals as documents with challenges, and what all routes share
* `*_views`, `app`      the routes
"""
