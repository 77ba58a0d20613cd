// Package members decides what a node of a cluster knows of the others, and what it tells
// them: events go in, effects come out. It opens no connections, starts no goroutines and
// reads no clock.
//
// Every node alone writes what is its own: its beats, which say twice a second that it is
// there, and its table, the listeners and the added routes that it has. A change of the table has a number, one
// more than the one before, and beats have the latest: who has missed one sees it, and reads
// the table anew, whole. Nobody is elected, and nothing belongs to two nodes, so that the
// halves of a cluster that is cut in two go on with what they have, and know each other
// again when they hear each other.
//
// A node is dead when for Options.Dead neither a beat of it has come nor a byte on the
// connection to it. Time in which this node itself did not run does not count.
package members
