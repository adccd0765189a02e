package stream

import (
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// event is what may happen to a stream.
type event any

type (
	// What people ask for.
	evStart       struct{}
	evStop        struct{ timeout time.Duration } // 0: TimeoutStopSec=
	evRestart     struct{ timeout time.Duration }
	evResetFailed struct{}
	evReload      struct {
		def *streamfile.Definition // nil: the files are broken
		bad string
	}
	evRemove struct{} // the file is gone
	evGone   struct{} // likewise, but what runs is left alone: nobody asked for a reload
	evKilled struct {
		term      bool // TERM
		interrupt bool // INT, which ffmpeg takes for a TERM
	}

	// What comes back for an action.
	evDeps struct {
		failed string // the stream of Requires= that failed; "" if all is well
		detail string
	}
	evBuilt struct {
		reason Reason // "" if there is a command
		detail string
	}
	evSpawned struct {
		pid    int
		child  uint64 // the shim's number of it
		canAsk bool   // stdin can end it: q or a shutdown
		waits  bool   // it reads data that a client has yet to bring

		// Of one that was started before this keeper.
		started time.Time // zero: now
		termed  bool
	}
	evSpawnFailed struct {
		reason Reason
		detail string
	}

	// What the process does.
	evExited struct{ exit exit }
	evEmpty  struct{} // nothing of the stream is left
	evBlock  struct {
		block ffmpeg.Block
		slow  bool // speed below MinSpeed= over its window
	}
	evOutput struct{} // any output, or data taken by stdin
	evFed    struct{} // a client came for stdin
	evGrew   struct{} // output still grows while stopping

	// What an earlier keeper left, and the shim holds.
	evAdopted struct {
		held    bool // a process, whose end may be told next
		unknown bool // of it nothing else is known
		pid     int
		child   uint64
		started time.Time
		termed  bool // TERM has been sent to it
		killing bool // it is being killed
		canAsk  bool
		waits   bool
	}

	// What the host does.
	evSample struct {
		noReader bool // stdout is full and nobody reads it
		hindered hindrance
		full     string // directory of an output, on a disk that is full; "": none
	}
	evGrace        struct{} // the host was suspended, or the keeper starved
	evShimStopping struct{} // it was told to end, and ends every process
	evShimLost     struct{}
	evShimBack     struct{}
	evTick         struct{}
)

// exit is how a main process ended.
type exit struct {
	code    int
	signal  int // 0: none
	core    bool
	oom     bool
	tasks   bool // it has hit the limit of tasks of its cgroup
	unknown bool
	killed  bool   // with the shim, so there is no more to know
	ended   bool   // the last progress block said end
	exists  bool   // its lines say that the output exists
	hint    string // its own words
}

// action is what the machine wants done.
type action any

type (
	actDeps        struct{} // await After= and Requires=, answer with evDeps
	actCancelDeps  struct{}
	actBuild       struct{} // run CommandBuilder=, answer with evBuilt
	actCancelBuild struct{}
	actSpawn       struct{} // answer with evSpawned or evSpawnFailed
	actAsk         struct{} // q, or shut stdin down
	actTerm        struct{} // to the group
	actKill        struct{} // everything of the stream
	actForget      struct{} // the process and its files: all is known of it
	actRestarted   struct{} // a new process after an earlier one
	actFailed      struct{} // the state became failed
	actRemoved     struct{} // the stream is to be forgotten
	actLog         struct {
		kind Kind
		text string
	}
)
