//go:build !unix

package yamlfile

const nonBlocking = 0
