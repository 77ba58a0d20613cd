package main

import (
	"errors"
	"fmt"
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
		if specs[i], err = readRoute(newFields(fmt.Sprintf("routes[%d]", i), item), folder); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

func readRoute(f *fields, folder string) (routes.Spec, error) {
	s := routes.Spec{
		Name: f.text("name"), Match: f.text("match"), Rules: f.rules("rules"), RulesFile: f.text("rules_file"),
		Priority: int32(f.integer("priority", -1<<31, 1<<31-1)), MaxCredit: f.integer("max_credit", 0, 1<<53),
	}
	if s.RulesFile != "" && !filepath.IsAbs(s.RulesFile) {
		s.RulesFile = filepath.Join(folder, s.RulesFile)
	}
	for _, member := range routes.Descriptions() {
		section := f.section(string(member.Name()))
		if section == nil {
			continue
		}
		if s.Factory != nil {
			f.wrong("factory", "only one of %s can be set", routes.Names())
		}
		description := section.message(member.Message())
		f.fail(section.done())
		s.Factory = description
	}
	return s, f.done()
}
