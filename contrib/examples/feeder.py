#!/usr/bin/python3
"""Feed raw frames to a stream of ffkeeper: feeder.py [STREAM]

The stream, "feeder" unless named, reads raw pictures from its standard input,
as feeder.stream beside this file does. The keeper hands over the other end of
that, once for each process; from then on frames go there directly.

It has to be run as root or as a user who is in the group ffkeeper, for instance

    useradd --system --groups ffkeeper feeder
    systemd-run --unit=feeder -p User=feeder -p Restart=always \\
        /usr/share/doc/ffkeeper/examples/feeder.py

(polkit asks for the user's groups, so Group= alone does not do.)

A restart of the keeper takes nothing away: the frames do not pass it. When the
stream is restarted its end is closed, and the next one is asked for, beginning
with a whole frame. While the stream is stopped, or the keeper or the bus is
away, it waits.

It needs python3-dbus: the standard library cannot receive descriptors over
D-Bus.
"""

import os
import signal
import sys
import time

import dbus
import dbus.bus
import dbus.lowlevel

WIDTH, HEIGHT, RATE = 320, 180, 25  # as in the stream file
RETRY = 0.5  # seconds


def frames():
    """All frames there will ever be: a white line on top, and moving stripes."""
    top = b"\xff\xff\xff" * WIDTH * 8
    stripes = [bytes((x % 32 * 8, 64, 255 - x % 32 * 8)) for x in range(WIDTH + 32)]
    n = 0
    while True:
        at = n % 32
        yield top + b"".join(stripes[at : at + WIDTH]) * (HEIGHT - 8)
        n += 1


class Stream:
    """The standard input of a stream, whichever process has it just now."""

    def __init__(self, name):
        self.name = name
        self.fd = None
        self.said = None

    def say(self, what):
        if what != self.said:  # once, not twice a second
            print(f"{self.name}: {what}", file=sys.stderr, flush=True)
        self.said = what

    def open(self):
        """Ask for the other end until there is one."""
        while self.fd is None:
            try:
                # A connection for each question: one that is held would be of
                # no use after the bus was restarted.
                bus = dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM)
                try:
                    call = dbus.lowlevel.MethodCallMessage(
                        "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "OpenStdin"
                    )
                    # A proxy object of dbus would start a keeper that somebody
                    # has stopped.
                    call.set_auto_start(False)
                    call.append(self.name, signature="s")
                    self.fd = bus.send_message_with_reply_and_block(call).get_args_list()[0].take()
                finally:
                    bus.close()
            except dbus.DBusException as e:
                self.say(e.get_dbus_message())
                time.sleep(RETRY)
        self.say("feeding")

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None

    def write(self, frame):
        """Write the whole frame to one process. It blocks while ffmpeg is slow."""
        while True:
            self.open()
            left = memoryview(frame)
            try:
                while left:
                    left = left[os.write(self.fd, left) :]
                return
            except (BrokenPipeError, ConnectionResetError):
                self.say("the stream has ended")
                self.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    stream = Stream(sys.argv[1] if len(sys.argv) > 1 else "feeder")
    due = time.monotonic()
    for frame in frames():
        stream.write(frame)
        due += 1 / RATE
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:
            due = time.monotonic()  # after a pause; frames that are late are not made up for


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
