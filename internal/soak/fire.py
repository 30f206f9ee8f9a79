"""Fires events of jobs on the bus of a Salt master, as the master's own processes do, and has Salt's own returner write its job cache.

    fire.py CONFIG_DIR again SEED
    fire.py CONFIG_DIR flood JOBS MINIONS AGE

again keeps what the bus tells, is given the ids of jobs, and fires their events twice more, in any order. Then it makes each job anew under
another id, its events twice and in any order too, and puts that into the job cache. At the end of both it fires each return once more with
another content: that is too late.

flood waits for a word, and fires a job and its returns, about 1.5 kB each, and so on, as fast as the master takes them. AGE is how many
seconds ago their clock stands. Another word has it put all into the job cache, and at the end it takes all out again.

It speaks in lines of JSON, and ends where its standard input does.
"""

import copy
import datetime
import json
import os
import queue
import random
import shutil
import socket
import sys
import tempfile
import threading

import salt.config
import salt.minion
import salt.payload
import salt.transport.frame
import salt.utils.event
import salt.utils.jid

COPIES = 2  # how often each event is fired
PATIENCE = 60  # seconds for the bus to tell what has happened


def say(**words):
    print(json.dumps(words), flush=True)


class Cache:
    """The job cache, by the returner that the master itself uses."""

    def __init__(self, opts):
        self.minion = salt.minion.MasterMinion(opts, states=False, rend=False)

    def __call__(self, function, *args, **kwargs):
        return self.minion.returners["local_cache." + function](*args, **kwargs)

    def put(self, jid, load, minions, returns):
        self("prep_jid", passed_jid=jid)
        self("save_load", jid, load, minions=minions)
        for data in returns:
            self("returner", data)


class Events:
    """The events of jobs as the bus has told them, by job id."""

    def __init__(self, bus):
        self.bus, self.of = bus, {}

    def listen(self, seconds):
        event = self.bus.get_event(wait=seconds, full=True, auto_reconnect=True)
        if not event:
            return
        part = event["tag"].split("/")
        if part[:2] == ["salt", "job"]:
            self.of.setdefault(part[2], []).append((event["tag"], event["data"]))

    def returns(self, jid):
        return {data["id"]: data for tag, data in self.of.get(jid, []) if tag.split("/")[3] == "ret"}

    def whole(self, jid):
        """Whether the job and the return of each minion was told."""
        new = [data for tag, data in self.of.get(jid, []) if tag.split("/")[3] == "new"]
        return bool(new) and set(new[0]["minions"]) <= set(self.returns(jid))


def renamed(tag, data, old, new):
    data = copy.deepcopy(data)
    data["jid"] = new
    return tag.replace(old, new), data


def again(opts, seed):
    order, lines = random.Random(seed), queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in sys.stdin], daemon=True).start()
    cache = Cache(opts)
    with salt.utils.event.get_event("master", sock_dir=opts["sock_dir"], opts=opts, listen=True) as bus:
        heard = Events(bus)
        bus.connect_pub()
        say(ready=True)
        while lines.empty():
            heard.listen(0.2)
        jids = json.loads(lines.get())
        end = datetime.datetime.now() + datetime.timedelta(seconds=PATIENCE)
        while not all(map(heard.whole, jids)) and datetime.datetime.now() < end:
            heard.listen(0.2)
    missing = [jid for jid in jids if not heard.whole(jid)]
    if missing:
        sys.exit("the bus has not told all of " + ", ".join(missing))
    events = [event for jid in jids for event in heard.of[jid]]
    made, puts = [], []
    for jid in jids:
        new = salt.utils.jid.gen_jid(opts)
        while new in made or new in jids:
            new = salt.utils.jid.gen_jid(opts)
        made.append(new)
        events += [renamed(tag, data, jid, new) for tag, data in heard.of[jid]]
        load = dict(cache("get_load", jid))
        minions = load.pop("Minions", None)
        load["jid"] = new
        puts.append((new, load, minions, [renamed("", data, jid, new)[1] for data in heard.returns(jid).values()]))
    late = []
    for tag, data in events:
        if tag.split("/")[3] == "ret":
            data = copy.deepcopy(data)
            data["return"] = "another answer, which comes too late"
            late.append((tag, data))
    events *= COPIES
    order.shuffle(events)
    order.shuffle(late)
    with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
        for tag, data in events + late:
            if not bus.fire_event(copy.deepcopy(data), tag):
                sys.exit("the master does not take events")
    for put in puts:
        cache.put(*put)
    say(fired=len(events) + len(late), jobs=made)


def states(serial):
    """A return of six states in the correct state; no two have the same content."""
    found = {}
    for n in range(6):
        path = f"/srv/app/conf.d/{n:02d}-site.conf"
        found[f"file_|-{path}_|-{path}_|-managed"] = {
            "name": path,
            "changes": {},
            "result": True,
            "comment": f"The file {path} is in the correct state, serial-{serial:012d}",
            "__sls__": "app.sites",
            "__run_num__": n,
            "__id__": path,
            "duration": 1.5 + n,
            "start_time": "10:00:00.000000",
        }
    return found


def flood(opts, jobs, minions, age):
    ids = [f"flood-{n:04d}" for n in range(minions)]
    back = datetime.timedelta(seconds=age)
    bus = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bus.connect(os.path.join(opts["sock_dir"], "master_event_pull.ipc"))

    def fire(tag, data):
        data["_stamp"] = (datetime.datetime.now(datetime.timezone.utc) - back).isoformat()
        body = tag.encode() + salt.utils.event.TAGEND.encode() + salt.payload.dumps(data, use_bin_type=True)
        bus.sendall(salt.transport.frame.frame_msg_ipc(body, raw_body=True))

    def ret(jid, n, minion):
        return {
            "cmd": "_return", "id": ids[minion], "jid": jid, "fun": "state.apply", "fun_args": ["app.sites"],
            "return": states(n * minions + minion), "retcode": 0, "success": True,
        }  # fmt: skip

    jids = []
    say(ready=True)
    if not sys.stdin.readline():
        return
    for n in range(jobs):
        jid = (datetime.datetime.now() - back).strftime("%Y%m%d%H%M%S%f")
        while jids and jid <= jids[-1]:
            jid = str(int(jid) + 1)
        jids.append(jid)
        call = {"jid": jid, "fun": "state.apply", "arg": ["app.sites"], "tgt": ids, "tgt_type": "list", "user": "root"}
        fire(f"salt/job/{jid}/new", {**call, "minions": ids, "missing": []})
        for minion in range(minions):
            fire(f"salt/job/{jid}/ret/{ids[minion]}", ret(jid, n, minion))
    say(fired=jobs * minions, jobs=jids)
    if not sys.stdin.readline():
        return
    cache = Cache(opts)
    for n, jid in enumerate(jids):
        call = {"cmd": "publish", "jid": jid, "fun": "state.apply", "arg": ["app.sites"], "tgt": ids, "tgt_type": "list", "ret": "", "user": "root"}
        cache.put(jid, call, ids, [ret(jid, n, minion) for minion in range(minions)])
    say(cached=jobs * minions)
    sys.stdin.readline()
    # Out of the master's sight first: its maintenance scrubs a job of which a part is gone, and both would remove the same files.
    gone = tempfile.mkdtemp(dir=opts["cachedir"])
    for jid in jids:
        os.rename(salt.utils.jid.jid_dir(jid, os.path.join(opts["cachedir"], "jobs"), opts["hash_type"]), os.path.join(gone, jid))
    shutil.rmtree(gone)


def main():
    opts = salt.config.master_config(os.path.join(sys.argv[1], "master"))
    {"again": again, "flood": flood}[sys.argv[2]](opts, *map(int, sys.argv[3:]))


main()
