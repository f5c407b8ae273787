"""Messages waiting to leave: written in the transaction of what they tell about, delivered by the worker.

Owns rendering, sealing, delivery, retry and the channels. Does not own the words, which are templates named
by the package that posts them (`templates/mail`, `templates/sms`), nor what an event says, which a package above makes
when it leaves (`events`). Stands on the foundation alone.
"""
