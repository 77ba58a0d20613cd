// Package soak has the programs that wear the gateway out: peers that die,
// networks that fail, hostile bytes, memory, descriptors, and a long mixed load.
// All run against the real binary. They are tests with the build tag soak:
//
//	make soak                        # everything, at full size
//	SOAK_SCALE=0.05 make soak        # the same, twenty times smaller
//	scripts/soak.sh -run TestLeaving # one of them
//
// A random test prints its seed and takes it from SOAK_SEED. What is measured is
// printed at the end, as the table in docs/reliability.md has it.
package soak
