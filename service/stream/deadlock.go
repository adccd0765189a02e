//go:build ffkeeper_deadlock

package stream

// Deadlock blocks the owner's goroutine for ever. It exists in test builds
// only: to show that the watchdog sees it.
func (s *Stream) Deadlock() { s.post(func() { select {} }) }
