"""A stand-in for logind and the session's manager on a private bus, as far as inhibitors go.

Usage: logind.py ANSWER [session], where ANSWER is "allow", "refuse" (no block lock for sleep), "mute" (never answers), "half"
(gives a block lock, and is mute from then on) or "none" (no logind at all).
Prints one line per event: "ready", "asked WHAT MODE" (by "half"), "take WHAT MODE", "release WHAT MODE", "session take FLAGS", "session release".
SIGUSR1: the system goes down (PrepareForShutdown true).
"""
import os
import signal
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

ANSWER = sys.argv[1]
answered = 0
LOGIND = """<node><interface name="org.freedesktop.login1.Manager">
<method name="Inhibit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="h" direction="out"/></method>
<signal name="PrepareForShutdown"><arg type="b"/></signal></interface></node>"""
SESSION = """<node><interface name="org.gnome.SessionManager">
<method name="Inhibit"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
<arg type="u" direction="in"/><arg type="u" direction="out"/></method>
<method name="Uninhibit"><arg type="u" direction="in"/></method></interface></node>"""


def say(words):
    print(words, flush=True)


def lock(_bus, _sender, _path, _interface, _method, args, call):
    global answered
    what, _who, _why, mode = args.unpack()
    if ANSWER == "half":
        say(f"asked {what} {mode}")
        answered += 1
    if ANSWER == "mute" or answered > 1:
        return
    if ANSWER == "refuse" and mode == "block" and "sleep" in what:
        call.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
        return
    reader, writer = os.pipe()
    fds = Gio.UnixFDList.new()
    fds.append(writer)  # a duplicate
    os.close(writer)

    def released(*_):
        say(f"release {what} {mode}")
        os.close(reader)
        return False

    GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, reader, GLib.IOCondition.HUP, released, None)
    say(f"take {what} {mode}")
    call.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), fds)


def session(_bus, _sender, _path, _interface, method, args, call):
    if method == "Inhibit":
        say(f"session take {args.unpack()[3]}")
        call.return_value(GLib.Variant("(u)", (7,)))
    else:
        say("session release")
        call.return_value(None)


def serve(bus, path, xml, handler):
    info = Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0]
    bus.register_object(path, info, handler, None, None)


bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
serve(bus, "/org/freedesktop/login1", LOGIND, lock)
serve(bus, "/org/gnome/SessionManager", SESSION, session)


def goes_down():
    value = GLib.Variant("(b)", (True,))
    bus.emit_signal(None, "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForShutdown", value)
    return True


GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, goes_down)
names = ([] if ANSWER == "none" else ["org.freedesktop.login1"]) + (["org.gnome.SessionManager"] if "session" in sys.argv[2:] else [])
for name in names:
    Gio.bus_own_name_on_connection(bus, name, Gio.BusNameOwnerFlags.NONE, None, None)
bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None, None, 0, -1, None)
say("ready")
GLib.MainLoop().run()
