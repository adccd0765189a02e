//go:build ffkeeper_deadlock

package service

// Deadlock blocks a stream's goroutine for ever. It exists in test builds
// only: to show that the watchdog sees it.
func (k *Keeper) Deadlock(name string) error {
	m, err := k.member(name)
	if err == nil {
		m.Stream.Deadlock()
	}
	return err
}
