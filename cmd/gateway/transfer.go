package main

type getCommand struct{}
type putCommand struct{}

func (getCommand) Run() error { return nil }
func (putCommand) Run() error { return nil }
