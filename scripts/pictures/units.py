"""Numbers as Grafana writes them, for the units that the dashboard uses."""

import math

# Of each unit what its steps are called, from which size on.
STEPS = {
    "short": [(1, ""), (1e3, " K"), (1e6, " Mil")],
    "reqps": [(1, " req/s"), (1e3, "K req/s")],
    "cps": [(1, " c/s"), (1e3, "K c/s")],
    "bytes": [(1, " B"), (2**10, " KiB"), (2**20, " MiB"), (2**30, " GiB")],
    "s": [(1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " hours"), (86400, " days")],
}


def scale(unit, largest):
    """By what a number is divided, and what stands behind it."""
    steps = STEPS[unit]
    fitting = [step for step in steps if step[0] <= largest * 1.0001]
    if largest <= 0 or not fitting:
        return next(step for step in steps if step[0] == 1) if largest <= 0 else steps[0]
    return fitting[-1]


def said(value, unit, decimals=None):
    if unit == "percentunit":
        percent = 100 * value
        return f"{percent:.{0 if abs(percent - round(percent)) < 0.05 else 1}f}%"
    size, name = scale(unit, abs(value))
    number = value / size
    if decimals is None:
        decimals = 0 if number == int(number) or abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:.{decimals}f}{name}"


def ticks(largest, unit):
    """Round numbers from 0 to the first at or above the largest, with their labels."""
    size, name = (0.01, "%") if unit == "percentunit" else scale(unit, largest)
    reach = max(largest / size, 1e-9)
    rough = reach / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= rough * 0.999)
    count = math.ceil(reach / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (f"{step:e}"[:3] == "2.5"))
    return [(n * step * size, f"{n * step:.{decimals}f}{name}") for n in range(count + 1)]
