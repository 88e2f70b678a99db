#!/usr/bin/python3
"""A network camera on 127.0.0.1: H.264 or H.265 and AAC over RTSP, served by gst-rtsp-server.

Usage: rtsp_server.py [--port N] [--no-audio] [--size WxH] [--codec h264|h265] [--gop FRAMES]
                      [--only udp|tcp] [--file FILM] [--block-udp] [--resize-to WxH] [--back SECONDS,…]
                      [--after SECONDS]

Prints its address as its first line and serves until it is ended. The picture flashes white and a 1 kHz tone
ticks, together, for the first 100 ms of every second. With --file, the pictures and the sound of an MP4 are sent as they are.
With --block-udp, a client that asks for UDP is answered and gets nothing. --after so many seconds pictures have another
size; or their clock goes back, again after so many seconds for each further step.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstController", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstController, GstRtsp, GstRtspServer  # noqa: E402

SECONDS = 3600
MARK = Gst.SECOND // 10
# An AAC decoder gives 1024 samples of nothing first, so what it decodes is that much late: tick that much early.
PRIMING = 1024 * Gst.SECOND // 48000

ENCODED = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1000"
    " ! video/x-h264,profile=baseline",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1000",
}
SENT = {
    "h264": " ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": " ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
}
# A live source counts from when it began; videorate counts from 0, so that a picture begins with every second. Without
# it the flash came up to 33 ms behind the tick.
VIDEO = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=30/1"
    " ! videorate ! videobalance name=light ! videoscale ! capsfilter name=size ! "
)
AUDIO = (
    " audiotestsrc is-live=true freq=1000 samplesperbuffer=64 name=tone ! audio/x-raw,rate=48000,channels=2"
    " ! audioconvert ! avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97"
)
FILM = "filesrc location={film} ! qtdemux name=film film.video_0 ! queue"
FILM_AUDIO = " film.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"


def switch(element, name, on, off, early):
    """Lets the property `name` be `on` in the first MARK of every second, `off` else."""
    source = GstController.InterpolationControlSource()
    source.set_property("mode", GstController.InterpolationMode.NONE)
    source.set(0, on)
    source.set(MARK - early, off)
    for second in range(1, SECONDS):
        source.set(second * Gst.SECOND - early, on)
        source.set(second * Gst.SECOND + MARK - early, off)
    element.add_control_binding(GstController.DirectControlBinding.new_absolute(element, name, source))


class Faults:
    """What the camera does wrong."""

    def __init__(self, options):
        self.options = options

    def on_media(self, _factory, media):
        pipeline = media.get_element()
        if self.options.block_udp:
            pipeline.get_parent().connect("deep-element-added", self.on_element)
        after = int(self.options.after * 1000)
        if self.options.resize_to:
            GLib.timeout_add(after, self.resize, pipeline)
        back = 0
        for number, step in enumerate(self.options.back, 1):
            back += step
            GLib.timeout_add(after * number, self.set_back, pipeline, back)

    def on_element(self, _pipeline, _bin, element):
        if element.get_factory().get_name() == "multiudpsink":
            element.connect("client-added", lambda sink, host, port: sink.emit("remove", host, port))

    def resize(self, pipeline):
        width, height = self.options.resize_to.split("x")
        caps = Gst.Caps.from_string(f"video/x-raw,width={width},height={height}")
        pipeline.get_by_name("size").set_property("caps", caps)
        return GLib.SOURCE_REMOVE

    def set_back(self, pipeline, seconds):
        pipeline.get_by_name("pay0").get_static_pad("sink").set_offset(-int(seconds * Gst.SECOND))
        return GLib.SOURCE_REMOVE


def on_media(_factory, media):
    pipeline = media.get_element()
    if pipeline.get_by_name("light") is None:
        return
    switch(pipeline.get_by_name("light"), "brightness", 1.0, -0.3, 0)
    tone = pipeline.get_by_name("tone")
    if tone is not None:
        switch(tone, "volume", 0.5, 0.0, PRIMING)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-audio", action="store_true")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--codec", choices=["h264", "h265"], default="h264")
    parser.add_argument("--gop", type=int, default=30)
    parser.add_argument("--only", choices=["udp", "tcp"])
    parser.add_argument("--file")
    parser.add_argument("--block-udp", action="store_true")
    parser.add_argument("--resize-to")
    parser.add_argument("--back", type=lambda steps: [float(step) for step in steps.split(",")], default=[])
    parser.add_argument("--after", type=float, default=8)
    options = parser.parse_args()
    width, height = options.size.split("x")
    if options.file:
        launch, audio = FILM.format(film=options.file), FILM_AUDIO
    else:
        encoded = ENCODED[options.codec].format(gop=options.gop)
        launch, audio = VIDEO.format(width=width, height=height) + encoded, AUDIO
    launch += SENT[options.codec] + ("" if options.no_audio else audio)

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + launch + " )")
    if options.only:
        lower = GstRtsp.RTSPLowerTrans
        factory.set_protocols(lower.UDP if options.only == "udp" else lower.TCP)
    factory.set_shared(True)
    factory.connect("media-configure", on_media)
    faults = Faults(options)
    factory.connect("media-configure", faults.on_media)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"rtsp_server: port {options.port} of 127.0.0.1 is taken")
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/camera", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
