"""`python -m idp.demo`: the whole product on one machine, ready to be clicked through.

* `places`      addresses, files and the environment of everything it starts
* `prepare`     database, keys, school register, operator, and the registered partner
* `processes`   start, wait until they answer, watch, stop
* `words`       what the terminal is told

It stands above everything and owns nothing but `var/demo/`. Never a way to run the service for real.
"""
