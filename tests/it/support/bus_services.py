"""Stand-ins on a private bus, named by the one argument. Each prints `ready` once it is there.

polkit      org.freedesktop.PolicyKit1: says yes to whatever RealtimeKit asks.
portal      org.freedesktop.portal.Realtime: gives threads the nice value they ask for, as root, like the real one does
            through RealtimeKit.
notify:FILE org.freedesktop.Notifications: writes the title of each notification on a line of FILE, and `closed` for each
            that is taken back.
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

NOTIFY = """<node><interface name="org.freedesktop.Notifications"><method name="Notify">
<arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="as" direction="in"/><arg type="a{sv}" direction="in"/><arg type="i" direction="in"/>
<arg type="u" direction="out"/></method>
<method name="CloseNotification"><arg type="u" direction="in"/></method>
<method name="GetCapabilities"><arg type="as" direction="out"/></method>
<method name="GetServerInformation"><arg type="s" direction="out"/><arg type="s" direction="out"/>
<arg type="s" direction="out"/><arg type="s" direction="out"/></method></interface></node>"""


def allow(_bus, _sender, _path, _interface, _method, _args, invocation):
    invocation.return_value(GLib.Variant("((bba{ss}))", ((True, False, {}),)))


def raise_thread(_bus, _sender, _path, _interface, _method, args, invocation):
    process, thread, nice = args.unpack()
    if not os.path.exists(f"/proc/{process}/task/{thread}"):
        invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", "No such file or directory")
        return
    os.setpriority(os.PRIO_PROCESS, thread, nice)
    invocation.return_value(None)


def notify(_bus, _sender, _path, _interface, method, args, invocation):
    def tell(line):
        with open(sys.argv[1].removeprefix("notify:"), "a", encoding="utf-8") as file:
            file.write(line + "\n")

    if method == "Notify":
        tell(args.unpack()[3])
        notify.last += 1
        invocation.return_value(GLib.Variant("(u)", (notify.last,)))
    elif method == "CloseNotification":
        tell("closed")
        invocation.return_value(None)
    elif method == "GetCapabilities":
        invocation.return_value(GLib.Variant("(as)", (["body", "persistence"],)))
    else:
        invocation.return_value(GLib.Variant("(ssss)", ("planted", "holdfast", "1", "1.2")))


notify.last = 0


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
    elif role.startswith("notify:"):
        serve(bus, "org.freedesktop.Notifications", "/org/freedesktop/Notifications", NOTIFY, notify)
    else:
        name = role.removeprefix("wait:")

        def appeared(*_):
            ready()
            loop.quit()

        Gio.bus_watch_name_on_connection(bus, name, Gio.BusNameWatcherFlags.NONE, appeared, None)
    loop.run()


main()
