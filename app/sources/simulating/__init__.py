"""What the simulators of all vendors share: settings, the ``/_sim`` endpoints, the state file, the shop's life, webhooks.

A vendor's simulator is an ``Account`` (``account``) and the routes of the vendor's own API; ``control.application`` makes a
Starlette application of both. Besides the vendor's endpoints it has, without a password and for this machine only:

* ``GET /_sim/truth/{kind}``: the rows of a perfect copy, in Tallyhook's words, from the simulator's own state;
* ``GET /_sim/status``: counts, requests, webhooks;
* ``GET /_sim/acknowledged``: the ids of all events that were acknowledged;
* ``POST /_sim/faults``: a JSON object of fault switches, answered with those that are now on;
* ``POST /_sim/changes`` ``{"count": 5, "kinds": ["product", "stock"]}``: changes the shop now and returns what changed.
"""
