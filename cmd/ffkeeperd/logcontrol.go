package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/ffkeeper/ffkeeper/dbusapi"
	"github.com/ffkeeper/ffkeeper/service/journal"
)

// logControl lets systemctl service-log-level and service-log-target change
// the log, at once and until this process ends: what FFKEEPER_LOG and
// FFKEEPER_LOG_LEVEL say is for the beginning.
func (d *daemon) logControl() *dbusapi.LogControl {
	return &dbusapi.LogControl{
		Level: func() string { return journal.LevelName(d.level.Level()) },
		SetLevel: func(name string) error {
			level, err := journal.ParseLevel(name)
			if err != nil {
				return err
			}
			d.level.Set(level)
			d.log.Log(context.Background(), journal.LevelNotice, "the log level is now "+journal.LevelName(level))
			return nil
		},
		Target: d.handler.Target,
		SetTarget: func(target string) error {
			if err := d.handler.SetTarget(target); err != nil {
				return err
			}
			d.log.Log(context.Background(), journal.LevelNotice, "the log goes to the "+target+" now")
			return nil
		},
		Identifier: identifier(),
	}
}

// identifier is what journalctl -t finds the keeper's own records by.
func identifier() string { return filepath.Base(os.Args[0]) }
