// Package settings reads what `gateway serve` is told, by its command line, the
// environment and the configuration file, and knows of each option where it comes from:
// what is wrong is told with that place.
//
// The tags of Serve are the one source of what there is: of flags, variables and keys, of
// the help, and of docs/configuration.md and deploy/gateway.yaml, which Reference and
// Example make. Beside kong's tags an option may have these:
//
//	reload   a reload can change it
//	once     it is asked for on the command line; it is no setting
//	example  a value for the example file, where there is no default
package settings
