//go:build !linux

package zre_test

func runNode() error { return nil }
