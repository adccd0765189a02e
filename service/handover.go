package service

import (
	"context"
	"sync"
	"time"
)

// handOverWait bounds how long one stream may take to be left; one that hangs
// is left as if this keeper had been killed.
const handOverWait = 3 * time.Second

// Lasting says whether streams run on without this keeper, as the shim does
// that it has dialled. Only then is there somebody to hand them over to.
func (k *Keeper) Lasting() bool { return k.link.lasting() }

// HandOver leaves every stream as it is, for a keeper that comes next: it
// finds with the shim what they are, and the pipes at the very next byte.
// It is the last thing before Close, which then touches no process. Whatever
// is asked of a stream from now on fails with Busy or NoSuchStream.
func (k *Keeper) HandOver(ctx context.Context) error {
	k.shut()
	ctx, cancel := context.WithTimeout(ctx, handOverWait)
	defer cancel()
	var wg sync.WaitGroup
	for _, m := range k.members() {
		wg.Go(func() {
			if err := m.HandOver(ctx); err != nil {
				k.log.Error("cannot hand the stream over in good order", "FFKEEPER_STREAM", m.Name(), "error", err)
			}
		})
	}
	wg.Wait()
	return k.link.flush(ctx)
}
