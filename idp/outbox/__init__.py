"""Messages waiting to leave: written in the transaction of what they tell about, delivered by the worker.

Owns rendering, sealing, delivery, retry and the channels. Does not own the words, which are templates named
by the room that posts them (`templates/mail`, `templates/sms`), nor what an event says, which a room above makes
when it leaves (`events`). Stands on the foundation alone.
"""
