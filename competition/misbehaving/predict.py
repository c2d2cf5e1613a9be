"""Everything that a submission must not do, another thing in each case: the case's number says which.

It says first what it is about to do, and last what came of it, where it is still there to say so. Above the last number
nothing is done at all. Run it in a sandbox only.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

MARK = "voxtrace-misdeed"  # in the name of all files and processes that may outlive it
inputs, outputs = map(Path, sys.argv[1:3])  # the third word is MARK, for all of its processes
(file,) = inputs.glob("*.npz")


def crashes():
    raise SystemError("on purpose")


def hangs():
    while True:
        time.sleep(60)


def writes_nothing():
    pass


def writes_the_wrong_shape():
    import numpy as np

    np.savez(outputs / file.name, segs=np.ones((3, 5), np.uint8))


def fills_the_disk():
    for place in (outputs, Path("/tmp"), Path("/dev/shm")):
        for number in range(100):
            with open(place / f"{MARK}-{number}", "wb", buffering=0) as junk:
                try:
                    while True:
                        junk.write(bytes(1 << 20))
                except OSError as error:
                    print(f"{place}: {error.strerror}")
                    break


def forks_without_end():
    while True:
        try:
            os.fork()
        except OSError:
            continue


def tries_the_network():
    reached = []
    for place in (("127.0.0.1", 22), ("192.0.2.1", 80), ("1.1.1.1", 53), ("example.org", 443)):
        try:
            socket.create_connection(place, timeout=2).close()
            reached.append(place)
        except OSError as error:
            print(place, error)
    sys.exit(f"reached {reached or 'nobody'}")


def takes_too_much_memory():
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))


def writes_outside_its_folder():
    places = ["/", "/usr", "/usr/bin", "/etc", "/home", "/root", "/var/tmp", "/workspace", "/workspace/inputs", "/opt"]
    places += [sys.prefix, os.path.dirname(os.__file__), "/proc", "/sys", "/dev"]
    written = []
    for place in places:
        try:
            Path(place, MARK).write_text(MARK)
            written.append(place)
        except OSError:
            continue
    try:
        Path(__file__).write_text("print('changed')")
        written.append(__file__)
    except OSError:
        pass
    sys.exit(f"wrote into {written or f'none of {len(places) + 1} places'}")


def hands_in_a_pickle():
    import numpy as np

    class Trap:
        def __reduce__(self):
            return os.system, (f"touch /tmp/{MARK}-sprung",)

    labels = np.empty(1, object)
    labels[0] = Trap()
    np.savez(outputs / file.name, segs=labels)


def looks_for_the_answers():
    seen = []
    programs = {"/proc", "/sys", "/usr", sys.prefix, sys.base_prefix}
    for where, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(where, name) not in programs]
        seen += [name for name in names if name[1:6] == "DBox_" and Path(where, name).resolve() != file.resolve()]
    usual = {"HOME", "LANG", "PATH", "TMPDIR", "USER", "PWD", "LC_CTYPE"}
    secrets = os.environ.keys() - usual
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    sys.exit(f"saw {len(seen)} other cases, {len(secrets)} secrets, {len(others)} processes")


def leaves_somebody_behind():
    stay = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", stay, MARK], start_new_session=True)
    for name in ("SIGTERM", "SIGHUP"):
        print("ignores", name)


DEEDS = (
    crashes,
    hangs,
    writes_nothing,
    writes_the_wrong_shape,
    fills_the_disk,
    forks_without_end,
    tries_the_network,
    takes_too_much_memory,
    writes_outside_its_folder,
    hands_in_a_pickle,
    looks_for_the_answers,
    leaves_somebody_behind,
)

number = int(file.stem.rpartition("_")[2])
if 1 <= number <= len(DEEDS):
    print(DEEDS[number - 1].__name__.replace("_", " "), flush=True)
    DEEDS[number - 1]()
