"""Runs the process that a Salt master makes for event_return, with the returner pgjsonb, on the event bus of a configuration:

    event_return.py CONFIG_DIR QUEUE

QUEUE is event_return_queue. The database is in PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
"""

import os
import sys

import salt.config
import salt.utils.event

opts = salt.config.master_config(os.path.join(sys.argv[1], "master"))
opts.update(
    {
        "event_return": "pgjsonb",
        "event_return_queue": int(sys.argv[2]),
        "event_return_queue_max_seconds": 1,
        "event_return_whitelist": ["salt/job/*/ret/*"],
        "returner.pgjsonb.host": os.environ["PGHOST"],
        "returner.pgjsonb.port": int(os.environ["PGPORT"]),
        "returner.pgjsonb.user": os.environ["PGUSER"],
        "returner.pgjsonb.pass": os.environ["PGPASSWORD"],
        "returner.pgjsonb.db": os.environ["PGDATABASE"],
    }
)
# It greets the bus with an event of its own, which a generator does not take.
salt.utils.event.SaltEvent.fire_event = lambda *args, **kwargs: True
salt.utils.event.EventReturn(opts).run()
