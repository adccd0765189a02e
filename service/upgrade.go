package service

import (
	"context"
	"time"
)

// upgradeWait bounds an upgrade of the shim: the test run of the new program,
// and the moment in which it takes over.
const upgradeWait = 30 * time.Second

// UpgradeShim has a shim of another version than this keeper's go on as the
// program that is installed now, in place: same pid, same children, same
// connection. Where that program does not start the old one goes on, and the
// journal says so. It returns when that is done; there is nothing to do for a
// shim that ends with the keeper.
func (k *Keeper) UpgradeShim(ctx context.Context) {
	c := k.link.current()
	if c == nil || !c.Stays() || k.opts.Version == "" || c.Hello().Version == k.opts.Version {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeWait)
	defer cancel()
	if err := c.Reexec(ctx, ""); err != nil {
		k.log.Warn("the shim goes on as it is", "version", c.Hello().Version, "error", err)
		return
	}
	k.log.Info("the shim has been replaced in place", "from", c.Hello().Version, "to", k.opts.Version)
}
