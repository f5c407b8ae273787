"""How a school registers, and how we check that it was the school.

It owns open registrations, the verification of an e-mail address, the credentials shown once, requests to join a
school that is registered already, and our staff's review of every new one. It does not own accounts (`estabs`),
signing in (`signin`) or the partner's request, to which it returns by its path. It builds on `schools`, `estabs` and
`partners`.

    signup             begin, correct and complete a registration
    verify             the link that verifies the e-mail address
    handover           continue in another browser, by a code
    add_school         a further school for the account of a person who is signed in
    first_credentials  the owner's username and password, shown once
    join               requests to join a school's account
    review             our staff's queue and decision
    working_days       working days and bank holidays
    invited_school     the school that a partner's invitation named, found at once
    origin             the partner that a registration began from, and the link back to it
"""
