//go:build race

package journal

// raceEnabled: under the race detector a sync.Pool forgets at random.
const raceEnabled = true
