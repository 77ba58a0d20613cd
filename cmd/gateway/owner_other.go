//go:build !unix

package main

import (
	"io/fs"
	"os"
)

// likeOwner leaves a file as it is: its folder says whose it is.
func likeOwner(*os.File, fs.FileInfo) {}
