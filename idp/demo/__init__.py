"""`python -m idp.demo`: the whole product on one machine, ready to be tried out.

* `services`    addresses, files and environment variables of the programs it starts
* `prepare`     database, keys, school register, operator, and the registered partner
* `processes`   start, wait until ready, watch, stop
* `messages`    the instructions in the terminal

It may import every package, and owns only `var/demo/`. It is never used to run the real service.
"""
