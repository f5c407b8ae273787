"""How a school registers, and how we check that it was the school.

It owns registrations under way, the proof of an e-mail address, the credentials shown once, requests to join
a school that is registered already, and our staff's review of every new one. It does not own accounts
(`estabs`), signing in (`signin`) or the partner's request, to which it returns by its path. It stands on
`schools`, `estabs` and `partners`.

    register   begin, correct, complete            verify    the link that proves the address
    collect    the username and password, once     join      ask the owners, or our staff
    handover   from one browser to the other, by a code
    review     the queue and the decision          due       working days and bank holidays
    origin     the partner it began from, and the way back
"""
