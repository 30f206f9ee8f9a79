"""Waits until minions answer test.ping, and prints each one's id when it does.

    ready.py starting|running CONFIG_DIR MINION...

Minions that are starting say so on the bus and are asked then; running ones, of a master that was started again, are
asked at once. It ends when the last one has answered; the owner bounds the time.
"""

import os
import socket
import sys
import time

import salt.client
import salt.config
import salt.exceptions
import salt.utils.event

PAUSE = 0.05  # seconds between two looks at a master that is still starting
AGAIN = 2.0  # seconds after which a minion that is still silent is asked again
QUIET = 0.5  # seconds without an event after which an answer to an earlier question comes no more


def wait_for_master(opts):
    """The master makes the keys first, the event socket next, and opens its request port last."""
    bus = os.path.join(opts["sock_dir"], "master_event_pub.ipc")
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(bus)
            with socket.create_connection(("127.0.0.1", opts["ret_port"]), timeout=1):
                return
        except OSError:
            time.sleep(PAUSE)


def main():
    running, conf_dir, missing = sys.argv[1] == "running", sys.argv[2], set(sys.argv[3:])
    opts = salt.config.client_config(os.path.join(conf_dir, "master"))
    wait_for_master(opts)
    client = salt.client.LocalClient(mopts=opts)
    pending = set()  # (job id, minion id) of each answer that may still come
    with salt.utils.event.get_event(
        "master", sock_dir=opts["sock_dir"], opts=opts, listen=True
    ) as bus:

        def ask(ids):
            try:
                job = client.run_job(sorted(ids), "test.ping", tgt_type="list", listen=False)
            except salt.exceptions.SaltException:
                return  # Not ready after all: asked again soon.
            pending.update((job.get("jid"), minion) for minion in job.get("minions", []))

        due = time.monotonic() + (0 if running else AGAIN)
        # Answers to all questions are waited for, so that the lab is quiet when its owner takes over.
        while missing or pending:
            if missing and time.monotonic() >= due:
                ask(missing)
                due = time.monotonic() + AGAIN
            event = bus.get_event(wait=QUIET, full=True, auto_reconnect=True)
            if not event:
                if not missing:
                    break
                continue
            part = event["tag"].split("/", 4)
            if part[:2] == ["salt", "minion"] and part[3:] == ["start"] and part[2] in missing:
                ask([part[2]])
            elif part[:2] == ["salt", "job"] and part[3:4] == ["ret"]:
                pending.discard((part[2], part[4]))
                if part[4] in missing and event["data"].get("fun") == "test.ping":
                    missing.discard(part[4])
                    print(part[4], flush=True)


main()
