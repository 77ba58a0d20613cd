// Package netns gives tests hosts of their own: network namespaces of this machine, which
// only Linux has and only root can make.
package netns
