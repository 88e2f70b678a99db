"""Stand-ins on a private bus, named by the one argument. Each prints `ready` once it is there.

polkit      org.freedesktop.PolicyKit1: says yes to whatever RealtimeKit asks.
portal      org.freedesktop.portal.Realtime: gives threads the nice value they ask for, as root, like the real one does
            through RealtimeKit.
wait:NAME   nobody; waits until NAME is on the bus, and ends.
"""

import os
import sys

from gi.repository import Gio, GLib

POLKIT = """<node><interface name="org.freedesktop.PolicyKit1.Authority"><method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
<arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/>
</method></interface></node>"""
PORTAL = """<node><interface name="org.freedesktop.portal.Realtime">
<method name="MakeThreadHighPriorityWithPID">
<arg type="t" direction="in"/><arg type="t" direction="in"/><arg type="i" direction="in"/></method>
<property name="MinNiceLevel" type="i" access="read"/></interface></node>"""


def allow(_bus, _sender, _path, _interface, _method, _args, invocation):
    invocation.return_value(GLib.Variant("((bba{ss}))", ((True, False, {}),)))


def raise_thread(_bus, _sender, _path, _interface, _method, args, invocation):
    process, thread, nice = args.unpack()
    if not os.path.exists(f"/proc/{process}/task/{thread}"):
        invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", "No such file or directory")
        return
    os.setpriority(os.PRIO_PROCESS, thread, nice)
    invocation.return_value(None)


def serve(bus, name, path, interface, call):
    described = Gio.DBusNodeInfo.new_for_xml(interface).interfaces[0]
    bus.register_object(path, described, call, lambda *_: GLib.Variant("i", -15), None)
    Gio.bus_own_name_on_connection(bus, name, Gio.BusNameOwnerFlags.NONE, ready, None)


def ready(*_):
    print("ready", flush=True)


def main():
    role = sys.argv[1]
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    loop = GLib.MainLoop()
    if role == "polkit":
        serve(bus, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", POLKIT, allow)
    elif role == "portal":
        serve(bus, "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", PORTAL, raise_thread)
    else:
        name = role.removeprefix("wait:")

        def appeared(*_):
            ready()
            loop.quit()

        Gio.bus_watch_name_on_connection(bus, name, Gio.BusNameWatcherFlags.NONE, appeared, None)
    loop.run()


main()
