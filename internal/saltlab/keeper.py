"""Runs the processes of one lab and outlives its owner just long enough to end them all.

    keeper.py [--remove DIR]

Commands come as JSON, one a line, on standard input:

    {"op": "start", "name": N, "argv": [..], "env": {..}, "stdout": PATH, "stderr": PATH, "cwd": PATH}
    {"op": "term", "name": N}    SIGTERM to the program's process group
    {"op": "kill", "name": N}    SIGKILL to the program and all that came from it

and what happens is told the same way on standard output:

    {"name": N, "pid": P}        the program was started
    {"name": N, "code": C}       the program ended, and so did everything it left behind; 128 + n for signal n

Standard input ends when the owner closes it or dies, however it dies: then everything is killed, standard output closed, and DIR removed.

Each program has a warden, a fork of this process, which adopts what the program leaves behind: Salt runs a job in a
process that leaves its group and session, so no signal to a group finds them all. A warden watches a pipe from this
process in turn, so killing this process ends everything, too.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """Makes every orphan below this process its child. Linux alone can; elsewhere the process group must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """The ids of all processes below this one (Linux), in no order."""
    children = {}
    for entry in os.listdir("/proc") if sys.platform == "linux" else []:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    # The command's name is in brackets and may hold anything; the parent is the second field after it.
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # It has just ended.
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def send(pid, number, group=False):
    try:
        os.killpg(pid, number) if group else os.kill(pid, number)
    except OSError:
        pass  # It has ended, which is what was wanted.


def reap(block):
    """Collects children that have ended: a list of (pid, code), or None where no child is left."""
    ended = []
    while True:
        try:
            pid, status = os.waitpid(-1, 0 if block and not ended else os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        code = os.waitstatus_to_exitcode(status)
        ended.append((pid, code if code >= 0 else 128 - code))


def spawn(command):
    """Starts the program in a session of its own and answers its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(command["stdout"], flags, 0o600), 1)
        os.dup2(os.open(command["stderr"], flags, 0o600), 2)
        os.chdir(command["cwd"])
        os.execve(command["argv"][0], command["argv"], command["env"])
    except OSError as error:
        os.write(2, f"cannot start {command['argv'][0]}: {error}\n".encode())
    os._exit(127)


def guard(command, orders, report):
    """A warden's life: start the program, carry out orders, and leave nothing when the program or the keeper ends."""
    adopt_orphans()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    main = spawn(command)
    report({"name": command["name"], "pid": main})
    code = None
    while code is None:
        ready, _, _ = select.select([orders, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            for pid, ended in reap(block=False) or []:
                if pid == main:
                    code = ended
        if orders in ready and code is None:
            order = os.read(orders, 1)
            if order == b"t":
                send(main, signal.SIGTERM, group=True)
            else:  # A kill, or the keeper is gone.
                break
    # A process may fork while it is being looked for, so this goes on until no child is left at all.
    while True:
        if sys.platform != "linux":
            send(main, signal.SIGKILL, group=True)
        for pid in descendants():
            send(pid, signal.SIGKILL)
        ended = reap(block=True)
        if ended is None:
            break
        for pid, status in ended:
            if pid == main:
                code = status
    os._exit(code if code is not None else 128 + signal.SIGKILL)


def main():
    remove = sys.argv[2] if sys.argv[1:2] == ["--remove"] else None
    # Ctrl-C at a terminal and a kill of the owner's process group are the owner's business.
    os.setsid()
    out = 1

    def report(fact):
        try:
            os.write(out, json.dumps(fact).encode() + b"\n")
        except OSError:
            pass  # The owner is gone; the end of standard input will tell.

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    wardens = {}  # by process id: the program's name and the pipe for orders
    text = b""

    def obey(command):
        if command["op"] == "start":
            orders, control = os.pipe()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                # What is not needed must go: a copy of another warden's pipe would keep that one from its end.
                for fd in [control, wake, waker, 0] + [pipe for _, pipe in wardens.values()]:
                    os.close(fd)
                try:
                    os.setsid()
                    guard(command, orders, report)
                finally:
                    os._exit(126)
            os.close(orders)
            wardens[pid] = (command["name"], control)
        else:
            for name, control in wardens.values():
                if name == command["name"]:
                    try:
                        os.write(control, b"t" if command["op"] == "term" else b"k")
                    except OSError:
                        pass  # It is ending already.

    def collect(block):
        ended = reap(block)
        for pid, code in ended or []:
            name, control = wardens.pop(pid)
            os.close(control)
            report({"name": name, "code": code})
        return ended is not None

    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            collect(block=False)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, text = (text + data).split(b"\n")
            for line in lines:
                obey(json.loads(line))
    for _, control in wardens.values():
        os.write(control, b"k")
    while collect(block=True):
        pass
    os.close(out)
    if remove:
        shutil.rmtree(remove, ignore_errors=True)


main()
