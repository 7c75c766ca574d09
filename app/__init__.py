"""Tallyhook keeps a merchant's own SQL database a true, fresh, explainable copy of their accounts.

The flow, left to right; every arrow is a function you can open:

     webhook  ┐
     poll     ├▶ inbox + owed items ▶ queue ▶ sync_item: fetch ▶ map ▶ apply ▶ settle
     sweep    │   (one transaction,   (one     (no transaction   (pure) (newer  (same
     replay   ┘    then acknowledge)  message   open meanwhile)         wins)   commit)
                                      per item)
     bulk run: stages, one per kind, each checkpointed by page (flows/runs/run.py):
       read_full: stream everything ▶ diff by row hash ▶ guard ▶ apply what differs ▶ drift, tombstones
       read_pages: what changed in a span of time     read_items: what is named by id

Each folder is one layer and answers one question. A module imports only from a lower number,
never sideways inside layer 2; ``workers`` imports ``app``, never the reverse:

     0  domain  errors                        values
     1  rules                                 what we decide: pure functions, no clock, no I/O
     2  config  sources  stores  channels     one library each, never each other
     3  flows                                 what we do: one use case per file
     4  wiring                                picks the parts
     5  web  cli  workers                     edges; nothing imports them

Outside ``app/sources`` no module spells a vendor's name: everything else speaks of a *connection*.
``tests/test_architecture.py`` keeps these rules.
"""
