"""Messages waiting to be sent: written in the transaction of the change they report, delivered by the worker.

Owns rendering, sealing, delivery, retry and the channels. The texts are templates named by the package that posts them
(`templates/mail`, `templates/sms`); the body of an event is made by a package above when it is sent (`events`). Imports
the foundation alone.
"""
