package zre

import "github.com/zioflow/gateway/zre/nodes"

// What a Node knows of others is in a table of package nodes.
type (
	Table    = nodes.Table
	NodeInfo = nodes.Info
	Port     = nodes.Port
	Event    = nodes.Event
	Watcher  = nodes.Watcher
)

// NewTable makes an empty table.
func NewTable() *Table { return nodes.NewTable() }
