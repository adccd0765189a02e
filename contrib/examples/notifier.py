#!/usr/bin/python3
"""Say aloud, and show on the desktop, that a stream has failed for good.

It is for the desktop of somebody who minds the streams; as part of the session:

    systemd-run --user --unit=ffkeeper-notifier -p Restart=always \\
        /usr/share/doc/ffkeeper/examples/notifier.py

or for every session, as a user unit or among the desktop's autostart programs.
Arguments go to ffkeeperctl: notifier.py -H studio minds another host.

It speaks by spd-say, espeak-ng or espeak, whichever there is, and notifies by
busctl, which every host with systemd has; so it needs the standard library
alone. It listens by "ffkeeperctl monitor", which goes on over restarts of the
keeper and of the bus, and tells afterwards what has happened meanwhile.
"""

import html
import json
import shutil
import subprocess
import sys
import time

SPEAKERS = (["spd-say", "--wait", "--"], ["espeak-ng", "--"], ["espeak", "--"])
CRITICAL = 2  # it stays until it is closed
RETRY = 5  # seconds


def run(argv):
    """Run it to its end; that it failed is told and hurts nothing else."""
    try:
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError) as e:
        print(f"{argv[0]}: {e}", file=sys.stderr, flush=True)


def notify(summary, body):
    # app_name, replaces_id, app_icon, summary, body, actions, hints, expire_timeout
    run(
        ["busctl", "--user", "--", "call", "org.freedesktop.Notifications", "/org/freedesktop/Notifications"]
        + ["org.freedesktop.Notifications", "Notify", "susssasa{sv}i"]
        # What stands in a body may be taken for markup.
        + ["ffkeeper", "0", "dialog-error", summary, html.escape(body), "0", "1", "urgency", "y", str(CRITICAL), "-1"]
    )


def speak(text):
    for speaker in SPEAKERS:
        if shutil.which(speaker[0]):
            run(speaker + [text])
            return


def failures(arguments):
    """The name and the reason of each stream that fails, from now on."""
    command = ["ffkeeperctl", *arguments, "--json", "monitor"]
    failed = set()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as monitor:
        for line in monitor.stdout:
            event = json.loads(line)
            name, kind, new = event.get("name", ""), event["event"], event.get("new", "")
            # The signal, or, of what failed while there was no connection, the
            # change of state that monitor tells afterwards. Of one failure
            # there may be both.
            if kind == "StreamFailed" or (kind, new) == ("StateChanged", "failed"):
                if name not in failed:
                    yield name, event.get("reason", "")
                failed.add(name)
            elif kind in ("StateChanged", "StreamRemoved"):
                failed.discard(name)


def main():
    while True:
        for name, reason in failures(sys.argv[1:]):
            why = reason.replace("-", " ") or "for an unknown reason"
            notify(f"Stream {name} has failed", f"{why}\nffkeeperctl status {name}")
            speak(f"Stream {name} has failed: {why}")
        # No keeper when it began: monitor has said so.
        time.sleep(RETRY)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
