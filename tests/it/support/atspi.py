#!/usr/bin/python3
"""Drives a window through the accessibility tree, as an assistive tool would.

Usage: atspi.py [--within SECONDS] [--app NAME] tree
       atspi.py ... press NAME         (a button, by its accessible name)
       atspi.py ... wait NAME          (until something visible has that name)
       atspi.py ... show NAME          (the same, then the tree as it is read behind that)
       atspi.py ... where NAME         (where it lies in its window: x, y, width, height in pixels)
       atspi.py ... gone NAME          (until nothing visible has it)
       atspi.py ... ping NAME          (asks the first thing of that name again and again for the whole time, and prints how
                                        many answers came, how long the slowest took in ms and within how long 95 % came,
                                        both without the time in which other programs had the processors, and how long the
                                        slowest took with it; makes the file of `--mark` when it begins)
       atspi.py ... children ROLE      (prints how many children the first thing of that role has)
       atspi.py ... text NAME          (prints the text of the first visible thing whose name begins so)

`tree` prints one line per visible thing: depth, role, name, states, separated by tabs. NAME is matched whole.
Exit code 0 done, 1 not within the time (default 10 s); what was there instead goes to standard error.
"""

import argparse
import os
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

# The tree changes without telling everything; it is read again this often.
AGAIN_MS = 100
DEPTH = 60
# A window that shows four moving pictures on a busy machine answers late. libatspi gives it 800 ms of itself, and what
# did not answer looks as if it were not there.
ANSWER_MS = 5000
STARTED_MS = 15000


def walk(node, depth=0):
    """Everything visible below `node`, parents first. A thing that vanishes while it is read is skipped."""
    if depth > DEPTH:
        return
    try:
        count = node.get_child_count()
    except GLib.Error:
        return
    for index in range(count):
        try:
            child = node.get_child_at_index(index)
            if child is None:
                continue
            states = child.get_state_set()
            # GTK 4.8 gives SHOWING to top-levels only. What lies in something invisible is skipped with it.
            if not states.contains(Atspi.StateType.VISIBLE):
                continue
            yield depth, child, child.get_role_name(), child.get_name() or "", states
        except GLib.Error:
            continue
        yield from walk(child, depth + 1)


def desktop(app):
    root = Atspi.get_desktop(0)
    for item in walk_apps(root):
        if app is None or app in (item.get_name() or ""):
            yield from walk(item, 1)


def walk_apps(root):
    for index in range(root.get_child_count()):
        item = root.get_child_at_index(index)
        if item is not None:
            # GTK tells of some changes too late or not at all; what was heard before is not believed.
            item.clear_cache()
            yield item


def words(states):
    named = {
        "pressed": Atspi.StateType.PRESSED,
        "focused": Atspi.StateType.FOCUSED,
        "sensitive": Atspi.StateType.SENSITIVE,
        "checked": Atspi.StateType.CHECKED,
    }
    return ",".join(word for word, state in named.items() if states.contains(state))


def press(node, states):
    """Does the thing's first action. `False` when it has none, or is greyed out."""
    if not states.contains(Atspi.StateType.SENSITIVE):
        return False
    action = node.get_action_iface()
    return action is not None and action.get_n_actions() > 0 and action.do_action(0)


def text(node):
    iface = node.get_text_iface()
    return iface.get_text(0, iface.get_character_count()) if iface is not None else node.get_name()


def where(node):
    """`None` while it has no size."""
    iface = node.get_component_iface()
    at = iface and iface.get_extents(Atspi.CoordType.WINDOW)
    return f"{at.x} {at.y} {at.width} {at.height}" if at and at.width > 0 else None


def tree(seen):
    return "\n".join(f"{depth}\t{role}\t{name}\t{words(states)}" for depth, _, role, name, states in seen)


def held_up(process):
    """Milliseconds for which the main thread of a process was ready and others had the processors."""
    with open(f"/proc/{process}/task/{process}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1]) / 1e6


def ping(options):
    """How long the window takes to answer. What is asked is not kept by libatspi: each time the window's main loop."""
    node = next(node for _, node, _, name, _ in desktop(options.app) if name == options.name)
    both = (node.get_process_id(), os.getpid())
    took = []
    if options.mark:
        with open(options.mark, "w", encoding="utf-8"):
            pass
    end = time.monotonic() + options.within
    while time.monotonic() < end:
        node.clear_cache()
        held, began = [held_up(process) for process in both], time.monotonic()
        node.get_name()
        wall = 1000 * (time.monotonic() - began)
        took.append((wall - sum(held_up(process) - before for process, before in zip(both, held)), wall))
        time.sleep(0.005)
    own, wall = sorted(own for own, _ in took), max(wall for _, wall in took)
    return f"{len(own)} {own[-1]:.1f} {own[len(own) * 95 // 100]:.1f} {wall:.1f}"


def attempt(options):
    """Tries once; returns what to print when done, `None` to try again."""
    if options.verb == "children":
        return next((str(node.get_child_count()) for _, node, role, _, _ in desktop(options.app) if role == options.name), None)
    seen = list(desktop(options.app))
    if options.verb == "tree":
        return tree(seen) or None
    if options.verb == "gone":
        return None if any(name == options.name for _, _, _, name, _ in seen) else ""
    for _, node, _, name, states in seen:
        if options.verb == "text" and name.startswith(options.name):
            return text(node)
        if options.verb == "show" and name == options.name:
            return tree(desktop(options.app))
        if options.verb == "where" and name == options.name:
            return where(node)
        if name == options.name and (options.verb == "wait" or (options.verb == "press" and press(node, states))):
            return ""
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--within", type=float, default=10.0)
    parser.add_argument("--app")
    parser.add_argument("verb", choices=["tree", "press", "wait", "show", "where", "gone", "text", "ping", "children"])
    parser.add_argument("--mark")
    parser.add_argument("name", nargs="?", default="")
    options = parser.parse_args()

    Atspi.set_timeout(ANSWER_MS, STARTED_MS)
    if options.verb == "ping":
        print(ping(options))
        return 0
    loop = GLib.MainLoop()
    done = []

    def again():
        try:
            answer = attempt(options)
        except GLib.Error as error:
            print(f"atspi: {error.message}", file=sys.stderr)
            return True
        if answer is None:
            return True
        done.append(answer)
        loop.quit()
        return False

    GLib.idle_add(lambda: again() and GLib.timeout_add(AGAIN_MS, again) and False)
    GLib.timeout_add(int(options.within * 1000), loop.quit)
    loop.run()
    if not done:
        print(f"atspi: {options.verb} {options.name!r}: not within {options.within} s. Visible:", file=sys.stderr)
        for depth, _, role, name, states in desktop(options.app):
            print(f"{'  ' * depth}{role} {name!r} {words(states)}", file=sys.stderr)
        sys.exit(1)
    if done[0]:
        print(done[0])


if __name__ == "__main__":
    main()
