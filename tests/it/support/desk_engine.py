#!/usr/bin/python3
"""A stand-in for the engine, as far as a window needs one: shows any state, and raises any alerts, as many as wanted.

Usage: desk_engine.py SOCKET SNAPSHOT.json

Serves on the Unix socket SOCKET what the window asks for: `/api/v1/events` (the snapshot, a heartbeat every second, then
what the test tells), `/api/v1/alerts`, `…/alerts/{id}/ack`, and answers every other POST with 202. Says `ready` once it
listens. The test tells and asks on the same socket:

    POST /test/alerts    a list of alerts: kept, and told to every window at once, one event each
    POST /test/flood     the same, as often as `count`, with ids that follow each other, evenly within `seconds`
    POST /test/event     an event: told as it is
    GET  /test/asked     every POST a window has sent so far, oldest first
    GET  /test/clients   how many follow the events
"""

import base64
import hashlib
import json
import os
import socket
import socketserver
import struct
import sys
import threading
import time

AT = "2026-11-21T20:30:15.123Z"
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEPT = 100


class Desk:
    """What there is to tell, and who listens."""

    def __init__(self, snapshot):
        self.lock = threading.Lock()
        self.snapshot = snapshot
        self.seq = snapshot["seq"]
        self.alerts = []
        self.clients = []
        self.asked = []

    def next_seq(self):
        self.seq += 1
        return self.seq

    def say(self, message):
        for client in list(self.clients):
            try:
                client.sendall(frame(json.dumps(message).encode()))
            except OSError:
                self.clients.remove(client)

    def tell_alert(self, alert):
        """Keeps it as the engine does: a cause that came again goes to the front."""
        alert["seq"] = self.next_seq()
        known = next((old for old in self.alerts if old["id"] == alert["id"]), None)
        if known is not None and known["count"] >= alert["count"]:
            self.alerts[self.alerts.index(known)] = alert
        else:
            if known is not None:
                self.alerts.remove(known)
            self.alerts.insert(0, alert)
        while len(self.alerts) > KEPT:
            least = next((old for old in reversed(self.alerts) if old["severity"] != "critical" or old["acknowledged"]), None)
            if least is None:
                break
            self.alerts.remove(least)
        self.say({"kind": "alert", "seq": alert["seq"], "at": AT, "data": alert})

    def acknowledge(self, number):
        alert = next((old for old in self.alerts if old["id"] == number), None)
        if alert is None:
            return 404, {"code": "unknown_alert", "message": "there is no such alert", "retryable": False, "trace_id": ""}
        changed = dict(alert, acknowledged=True, actions=[word for word in alert["actions"] if word != "acknowledge"])
        self.tell_alert(changed)
        return 200, {"alert": changed}


def frame(payload):
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode().split()
        if len(line) < 2:
            return
        method, path = line[0], line[1]
        headers = {}
        while True:
            text = self.rfile.readline().decode().strip()
            if not text:
                break
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length") or 0))
        if path.startswith("/api/v1/events"):
            return self.follow(headers["sec-websocket-key"])
        with desk.lock:
            status, answer = self.answer(method, path, body)
        self.reply(status, answer)

    def answer(self, method, path, body):
        if path.startswith("/api/v1/alerts?"):
            counts = {"critical": 0, "warning": 0, "info": 0, "unacknowledged": 0}
            return 200, {"alerts": desk.alerts, "counts": counts, "kept": len(desk.alerts)}
        if path == "/test/alerts":
            for alert in json.loads(body):
                desk.tell_alert(alert)
            return 200, {}
        if path == "/test/flood":
            threading.Thread(target=flood, args=(json.loads(body),), daemon=True).start()
            return 200, {}
        if path == "/test/event":
            desk.say(dict(json.loads(body), seq=desk.next_seq(), at=AT))
            return 200, {}
        if path == "/test/asked":
            return 200, desk.asked
        if path == "/test/clients":
            return 200, len(desk.clients)
        if method == "POST":
            desk.asked.append(path)
            if path.endswith("/ack"):
                return desk.acknowledge(int(path.split("/")[-2]))
            return 202, {"input": path.split("/")[-2], "status": "retrying"}
        return 200, desk.snapshot

    def reply(self, status, answer):
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def follow(self, key):
        accept = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
        head = f"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        self.wfile.write(head.encode())
        with desk.lock:
            desk.snapshot["seq"] = desk.seq
            sync = {"kind": "sync", "seq": desk.seq, "at": AT, "data": desk.snapshot}
            self.request.sendall(frame(json.dumps(sync).encode()))
            desk.clients.append(self.request)
        # What a window says here is nothing but pings and a goodbye.
        try:
            while self.request.recv(4096):
                pass
        finally:
            with desk.lock:
                if self.request in desk.clients:
                    desk.clients.remove(self.request)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def flood(wanted):
    alert, count = wanted["alert"], wanted["count"]
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0, began + wanted["seconds"] * number / count - time.monotonic()))
        with desk.lock:
            desk.tell_alert(dict(alert, id=alert["id"] + number))
            desk.say({"kind": "alerts", "seq": desk.next_seq(), "at": AT, "data": desk.snapshot["alerts"]})


def beat():
    while True:
        time.sleep(1)
        with desk.lock:
            desk.say({"kind": "heartbeat", "at": AT})


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        desk = Desk(json.load(file))
    if os.path.exists(sys.argv[1]):
        os.remove(sys.argv[1])
    server = Server(sys.argv[1], Handler)
    threading.Thread(target=beat, daemon=True).start()
    print("ready", flush=True)
    server.serve_forever()
