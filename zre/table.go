package zre

import "github.com/zioflow/gateway/zre/nodes"

// Table is what a Node knows of others.
type Table = nodes.Table

// NodeInfo is one of them.
type NodeInfo = nodes.Info

// NewTable makes an empty table.
func NewTable() *Table { return nodes.NewTable() }
