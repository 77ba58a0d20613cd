//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// likeOwner gives a file the owner of another, as far as this user may.
func likeOwner(file *os.File, other fs.FileInfo) {
	if stat, ok := other.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(stat.Uid), int(stat.Gid))
	}
}
