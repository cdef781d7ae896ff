"""A program on a terminal of a fixed size, and its screen as SVG."""

import fcntl
import html
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pyte

COLUMNS, ROWS = 120, 40
CELL, LINE, MARGIN, BAR = 7.8, 17, 14, 30
# By what pyte calls the first colours of 256.
COLOURS = {"default": "#d5d9e0", "00cd00": "#8ccf7e", "cd0000": "#f07f78", "cdcd00": "#e5c76b"}
GROUND, DIM = "#14171c", "#8a93a3"


def screen_of(command, seconds):
    """What a program shows after so many seconds."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    program = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([ours], [], [], left)[0]:
            # What is dim pyte does not know; nothing here is italic, so that stands for it.
            stream.feed(os.read(ours, 65536).replace(b"\x1b[2m", b"\x1b[3m").replace(b"\x1b[22m", b"\x1b[22;23m"))
    os.write(ours, b"q")
    code = program.wait(10)
    os.close(ours)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}:\n" + "\n".join(screen.display))
    return screen


def runs(row):
    """Neighbours of the same look, cut where there is more than a space: (column, text, character)."""
    found = []
    for column in range(COLUMNS):
        character = row[column]
        look = character._replace(data="")
        if found and found[-1][2] == look:
            found[-1][1].append(character.data)
        else:
            found.append((column, [character.data], look))
    for column, characters, look in found:
        # What is reversed is a bar, with its spaces.
        yield column, " " * len(characters) if look.reverse else "", look
        for part in re.finditer(r"\S+( \S+)*", "".join(characters)):
            yield column + part.start(), part[0], look


def run_as_svg(column, text, look, y):
    """Each run has its width said, so that columns stand also in a font of another width."""
    x, width = MARGIN + column * CELL, len(text) * CELL
    colour = DIM if look.italics else COLOURS.get(look.fg, COLOURS["default"])
    if not text.strip():
        return f'<rect x="{x:.1f}" y="{y - 13}" width="{width:.1f}" height="{LINE}" fill="{colour}"/>' if text else ""
    bold = ' font-weight="bold"' if look.bold else ""
    return (
        f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" fill="{GROUND if look.reverse else colour}"{bold}>'
        f"{html.escape(text)}</text>"
    )


def as_svg(screen, title):
    width, height = COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + BAR + MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono,'
        ' monospace" font-size="13">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>',
        *(f'<circle cx="{18 + 18 * n}" cy="16" r="5" fill="#3a404b"/>' for n in range(3)),
        f'<text x="{width / 2:.0f}" y="20" text-anchor="middle" fill="{DIM}">{html.escape(title)}</text>',
    ]
    for row in range(ROWS):
        out += [run_as_svg(*run, BAR + (row + 1) * LINE) for run in runs(screen.buffer[row])]
    return "\n".join(filter(None, out)) + "\n</svg>\n"
