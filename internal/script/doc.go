// Package script is the language in which exchanges of messages are written down: what
// is said to whom, and what must come of it. docs/scripts.md describes it. The scripts of
// the flow, of the broker and of the conformance player are all written in it; what plays
// them is a [Player].
//
// A script is read whole before anything of it is played, and what is wrong with it is
// said with file and line. Nothing here does I/O or starts goroutines; scenarios may be
// shared once they are read.
package script
