"""What Callgrind counts: instructions in user space, of each thread for itself."""

import collections
import pathlib
import re
import subprocess


def command(folder, *options):
    """What a program is started with to be counted. The counts of each thread end up in this folder."""
    file = pathlib.Path(folder, "callgrind")
    plain = ["--compress-strings=no", "--compress-pos=no"]
    return ["valgrind", "--tool=callgrind", "--separate-threads=yes", *plain, f"--callgrind-out-file={file}", *options]


def clear(pid):
    """A running program is counted from here on."""
    tell(pid, "zero")


def taken(pid, folder):
    """What a running program was counted to have done since, as the text of its busiest thread."""
    tell(pid, "dump")
    return busiest(folder)


def tell(pid, what):
    told = subprocess.run(["vgdb", f"--pid={pid}", what], capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(f"Callgrind did not take the order {what!r}: {told.stderr}")


def busiest(folder):
    """The counts of the thread with the most instructions; all counts are gone afterwards."""
    files = list(pathlib.Path(folder).glob("callgrind[.-]*"))
    texts = [file.read_text(errors="replace") for file in files]
    for file in files:
        file.unlink()
    if not texts:
        raise SystemExit("Callgrind has counted nothing")
    return max(texts, key=total)


def total(text):
    """Instructions of the whole thread.

    >>> total("events: Ir" + chr(10) + "fn=a" + chr(10) + "1 40" + chr(10) + "totals: 40")
    40
    """
    return int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])


def functions(text):
    """Instructions of each function: alone, and with all that it calls.

    >>> text = '''
    ... fn=outer
    ... 1 40
    ... cfn=inner
    ... calls=2 7
    ... 2 60
    ... fn=inner
    ... 7 60
    ... '''
    >>> alone, whole = functions(text)
    >>> alone["outer"], whole["outer"], alone["inner"], whole["inner"]
    (40, 100, 60, 60)
    """
    alone, whole = collections.Counter(), collections.Counter()
    function = callee = None
    called = False
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            function = value
        elif key == "cfn":
            callee = value
        elif key == "calls":
            called = True
        elif cost := re.fullmatch(r"\d+ (\d+)", line):
            # What a function does in calls of itself is in its own instructions already.
            if not called or callee != function:
                whole[function] += int(cost[1])
            if not called:
                alone[function] += int(cost[1])
            called = False
    return alone, whole
