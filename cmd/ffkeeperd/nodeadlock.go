//go:build !ffkeeper_deadlock

package main

func (d *daemon) deadlockOnSignal() {}
