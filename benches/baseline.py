"""Instructions of a request as they were, beside those of now."""

import json

# In percent: beyond it is not the next build's mood, but a change.
TOLERATED = 3


def read(file):
    return json.loads(file.read_text())


def write(file, made_with, figures):
    kept = {"made_with": made_with, "instructions": figures}
    file.write_text(json.dumps(kept, indent=2) + "\n")


def compared(baseline, made_with, figures):
    """The lines to show, and whether the figures pass.

    >>> before = {"made_with": {"rustc": "1.91"}, "instructions": {"refuse": 1000, "forward": 5000}}
    >>> def show(figures, rustc="1.91"):
    ...     lines, passed = compared(before, {"rustc": rustc}, figures)
    ...     print(*lines, sep=chr(10))
    ...     return passed

    What does not pass is said, with the number, and what to do:

    >>> show({"refuse": 1040, "forward": 5150})
    instructions a request     baseline        now    change
    refuse                        1,000      1,040   +4.0 %   too many
    forward                       5,000      5,150   +3.0 %
    refuse takes 4.0 % more instructions than its baseline; at most 3 % are tolerated.
      where they are:    benches/instructions --profile refuse
      if that is meant:  benches/instructions --renew, in a commit that says why
    False

    The last of what is tolerated passes, the first beyond it does not:

    >>> [compared(before, before["made_with"], {"refuse": now})[1] for now in (1030, 1030.1)]
    [True, False]

    Another compiler is told, and excuses nothing:

    >>> show({"refuse": 1040}, rustc="1.95")
    instructions a request     baseline        now    change
    refuse                        1,000      1,040   +4.0 %   too many
    The baseline was made with another rustc: 1.91, and this is 1.95. That may be the reason.
    refuse takes 4.0 % more instructions than its baseline; at most 3 % are tolerated.
      where they are:    benches/instructions --profile refuse
      if that is meant:  benches/instructions --renew, in a commit that says why
    False

    Fewer pass, but a baseline that is not renewed would let them grow again:

    >>> show({"refuse": 900})
    instructions a request     baseline        now    change
    refuse                        1,000        900  -10.0 %   fewer
    refuse takes 10.0 % fewer: keep that with benches/instructions --renew.
    True

    Nothing passes unseen because it is new:

    >>> show({"tunnel": 7000})
    instructions a request     baseline        now    change
    tunnel                            -      7,000        -   new
    tunnel has no baseline: benches/instructions --renew
    False
    """
    lines = [f"{'instructions a request':24} {'baseline':>10} {'now':>10} {'change':>9}"]
    remarks, passed = [], True
    for name, now in figures.items():
        row, remark, passes = beside(name, baseline["instructions"].get(name), now)
        lines.append(row)
        remarks += remark
        passed = passed and passes
    other = differences(baseline["made_with"], made_with) if remarks else []
    return lines + other + remarks, passed


def beside(name, before, now):
    """The line of one figure, what is to be said of it, and whether it passes."""
    if before is None:
        row = f"{name:24} {'-':>10} {now:10,.0f} {'-':>8}   new"
        return row, [f"{name} has no baseline: benches/instructions --renew"], False
    change = (now - before) * 100 / before
    row = f"{name:24} {before:10,.0f} {now:10,.0f} {change:+6.1f} %"
    if change > TOLERATED:
        return f"{row}   too many", [
            f"{name} takes {change:.1f} % more instructions than its baseline; at most {TOLERATED} % are tolerated.",
            f"  where they are:    benches/instructions --profile {name}",
            "  if that is meant:  benches/instructions --renew, in a commit that says why",
        ], False
    if change < -TOLERATED:
        remark = f"{name} takes {-change:.1f} % fewer: keep that with benches/instructions --renew."
        return f"{row}   fewer", [remark], True
    return row, [], True


def differences(before, now):
    return [
        f"The baseline was made with another {what}: {before.get(what)}, and this is {version}."
        " That may be the reason."
        for what, version in now.items()
        if version != before.get(what)
    ]
