package stream

// ErrorKind tells what an error means to a caller.
type ErrorKind string

const (
	NoSuchStream ErrorKind = "NoSuchStream"
	BadSetting   ErrorKind = "BadSetting"
	SpawnFailed  ErrorKind = "SpawnFailed"
	StdinClosed  ErrorKind = "StdinClosed"
	NotRunning   ErrorKind = "NotRunning"
	Busy         ErrorKind = "Busy"
	InvalidArgs  ErrorKind = "InvalidArgs"
)

// Error is an error with a kind. Its text is redacted.
type Error struct {
	Kind ErrorKind
	Text string
}

func (e *Error) Error() string { return e.Text }
