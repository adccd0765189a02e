package stream

// Kind is one kind of journal event of a stream. Each has one MESSAGE_ID,
// explained in the journal catalog.
type Kind string

// The kinds, in the order of a stream's life.
const (
	KindStarting   Kind = "starting"
	KindStarted    Kind = "started"
	KindDelivering Kind = "delivering"
	KindDegraded   Kind = "degraded"
	KindRecovered  Kind = "recovered"
	KindStalled    Kind = "stalled"
	KindStopping   Kind = "stopping"
	KindForced     Kind = "forced"
	KindExited     Kind = "exited"
	KindRestarting Kind = "restarting"
	KindReset      Kind = "reset"
	KindStopped    Kind = "stopped"
	KindFailed     Kind = "failed"
	KindZombie     Kind = "zombie"
	KindZombieGone Kind = "zombie-gone"
	KindShimLost   Kind = "shim-lost"
	KindBadSetting Kind = "bad-setting"
	KindChanged    Kind = "changed"
	KindFlood      Kind = "flood"
	KindHookFailed Kind = "hook-failed"
	KindRemoved    Kind = "removed"
	KindAdopted    Kind = "adopted"
	KindUnread     Kind = "unread"
)

// EventKind is a row of the table of events.
type EventKind struct {
	Kind      Kind
	MessageID string // 128 bit, hex, as sd-id128 writes it
	Priority  int    // syslog
	Meaning   string // one sentence: what happened
	Remedy    string // what a person can do; "" where nothing need be done
}

// EventKinds returns the table of all events, in the order of a stream's
// life. The journal catalog and the manual are made from it or tested
// against it.
func EventKinds() []EventKind {
	return []EventKind{
		{KindStarting, "43042e1eeb254292ab85dc1f2c2b5930", 6, "The stream is being started.", ""},
		{KindStarted, "644bc917e9634b53a3b18baa4aaf8625", 6, "The stream's process has been started.", ""},
		{KindDelivering, "38731d22befc4fa680a84a6791d345d8", 5, "The stream delivers: its progress has moved for the first time in this run.", ""},
		{KindDegraded, "d5c801dabd524bfc8b2bf4700749fe4e", 4, "The stream delivers, but not as it should.", "FFKEEPER_REASON= says what is wrong: host-slow asks for less work or more host, too-slow for a look at the input, the encoder and the stream's limits, no-reader for somebody who reads the stream's standard output, partial-stall for a look at the input whose picture stands still, disk-full for room on the disk that the message names."},
		{KindRecovered, "a4dc36145db84f4096467890c3784322", 5, "The stream delivers again as it should.", ""},
		{KindStalled, "3c2d03c147844eaf84b5058b54c2c539", 3, "The stream's process is alive, but nothing has come out of it for ActivityTimeoutSec= (or at all for TimeoutStartSec=).", "Unless the message says what the stream waits for, look at the input first: an input that stops sending is the usual cause. With OnStall=restart the stream is stopped and started anew."},
		{KindStopping, "3fa847b84473445ebbd40891bffa812a", 6, "The stream is being stopped so that its files are finished.", ""},
		{KindForced, "4736a22a8c3f47c990c3baec37ce4063", 4, "The stream did not end within TimeoutStopSec= and was killed; the file it was writing may be unfinished.", "Give it a longer TimeoutStopSec= if it needs more time to finish its files."},
		{KindExited, "be2625f6cd81443dabe150e40d150d63", 4, "The stream's process has ended without being asked to.", "The lines before this one, of the same FFKEEPER_STREAM=, usually say why."},
		{KindRestarting, "0d6c9fdcd81445cbb9d6bfa9adf61231", 5, "The stream will be started again after a delay.", "The delay grows with each failure; `ffkeeperctl start NAME` starts it at once, `ffkeeperctl stop NAME` ends the attempts."},
		{KindReset, "8e6d049e42ea4f6e87338254c019f3f9", 6, "The stream has been healthy for RestartResetSec=: its count of failures begins anew.", ""},
		{KindStopped, "ab0df15f91074d969a9ad387d5a3570a", 5, "The stream has been stopped.", ""},
		{KindFailed, "1e34a36b04e74d67aa6fc616290a2b5e", 3, "The stream has failed and is not started again by itself.", "Mend what FFKEEPER_REASON= names, then `ffkeeperctl start NAME`."},
		{KindZombie, "123942de52644ecca744a9ec4f392856", 2, "The stream's process was killed, yet the kernel has not let go of it: it is in uninterruptible sleep.", "Such a process usually waits for a dead disk, NFS server or device. It is followed until it is gone, and no second one is started meanwhile."},
		{KindZombieGone, "4b1be35411f043dc813d3dfb76305365", 5, "The stream's stuck process is gone at last.", ""},
		{KindShimLost, "cf68fc193ac74bcd80de8b06736ddcf5", 3, "The shim that held the stream's process is gone, and the process with it. The stream is started anew.", "See the journal of ffkeeper-streams.service for why the shim ended."},
		{KindBadSetting, "cac871eb341d4838bcd8c58f923da709", 3, "The stream's file cannot be used.", "Mend the line that the message names, check with `ffkeeperctl verify FILE`, then `ffkeeperctl reload`."},
		{KindChanged, "1748a77f657348fcad53d14b0c04c9fe", 6, "The stream's definition has changed; the running process goes on with the old one.", "`ffkeeperctl restart NAME` puts the new definition in force."},
		{KindFlood, "05a3bc4c060649e3b009d2f1e851f41e", 4, "The stream logs more lines than are kept; the rest was counted and dropped.", "A lower -loglevel for its command helps."},
		{KindHookFailed, "b08a764ed8cc45498c3041415213dbd7", 4, "A command of OnRestart= or OnFailure= failed.", ""},
		{KindRemoved, "cdcff55912fa4c0ea0eb484e311b7594", 5, "The stream's file is gone: the stream is stopped and forgotten.", ""},
		{KindAdopted, "40bba4f4ad4a4c44a6c580197309f978", 5, "A keeper has taken the stream over, with its process, from an earlier one that crashed, was restarted or upgraded. The stream has not been interrupted.", ""},
		{KindUnread, "ae5bafd45810422ea433a011eff0eed4", 4, "While no keeper was there the stream wrote more than is kept for the next one; the oldest lines were counted and dropped.", "See with `journalctl -u ffkeeper` why there was no keeper for so long."},
	}
}
