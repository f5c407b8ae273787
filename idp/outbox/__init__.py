"""Messages waiting to leave: written in the transaction of what they tell about, delivered by the worker.

Owns rendering, sealing, delivery, retry and the channels. Does not own the words, which are templates named
by the room that posts them (`templates/mail`, `templates/sms`). Stands on the foundation alone.
"""
