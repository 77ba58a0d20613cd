package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/broker/routes"
)

// routeFlags are the options that concern routes.
type routeFlags struct {
	Routes          routeList `hidden:"" env:"-" reload:""`
	MaxProcesses    int       `default:"${max_processes}" help:"How many commands of exec routes may run at once." reload:""`
	AllowExecRoutes bool      `help:"Let operators add routes that start commands: whoever may call AddRoute can then run any program here."`
}

// routeList is the configuration file's list of routes, read but not made yet.
type routeList struct{ specs []routes.Spec }

// routesSection is the value of the key `routes` in a configuration file.
type routesSection struct {
	value any
	// folder is the file's, from which a rules_file is looked for.
	folder string
}

// Decode implements kong.MapperValue. Only a configuration file has routes.
func (l *routeList) Decode(ctx *kong.DecodeContext) (err error) {
	section, ok := ctx.Scan.Pop().Value.(routesSection)
	if !ok {
		return errors.New("routes can be set in the configuration file only")
	}
	l.specs, err = readRoutes(section.value, section.folder)
	return err
}

// String leaves it to the gateway to tell what has changed: that may be in a
// rules_file.
func (l routeList) String() string { return "" }

// readRoutes reads a decoded list of routes. A rules_file is relative to the
// folder. An error names the field: "routes[2].exec.max_time: …".
func readRoutes(value any, folder string) ([]routes.Spec, error) {
	if value == nil {
		return nil, nil
	}
	items, ok := value.([]any)
	if !ok {
		return nil, errors.New("routes: want a list")
	}
	specs := make([]routes.Spec, len(items))
	for i, item := range items {
		var err error
		if specs[i], err = readRoute(item, folder); err != nil {
			return nil, fmt.Errorf("routes[%d]%w", i, err)
		}
	}
	return specs, nil
}

// readRoute reads one. An error begins with how it goes on behind the route's place in the
// list.
func readRoute(item any, folder string) (routes.Spec, error) {
	f, err := routes.NewFields(item)
	if err != nil {
		return routes.Spec{}, fmt.Errorf(": %w", err)
	}
	s := routes.Spec{
		Name: f.Text("name"), Match: f.Text("match"), Rules: f.Rules("rules"), RulesFile: f.Text("rules_file"),
		Priority: int32(f.Integer("priority", math.MinInt32, math.MaxInt32)), MaxCredit: f.Integer("max_credit", 0, 1<<53),
	}
	if s.RulesFile != "" && !filepath.IsAbs(s.RulesFile) {
		s.RulesFile = filepath.Join(folder, s.RulesFile)
	}
	s.Factory = f.Rest() // which of them are kinds of factories the gateway knows
	if err := f.Done(); err != nil {
		return s, fmt.Errorf(".%w", err)
	}
	return s, nil
}
