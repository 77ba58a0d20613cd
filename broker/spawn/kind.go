package spawn

import (
	"errors"
	"io/fs"
	"math"
	"os/exec"
	"path/filepath"

	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
)

// Kind is the kind of the routes whose handlers are commands that s starts.
func (s *Spawner) Kind() routes.Kind {
	return routes.Kind{
		Name: "exec", RunsCommands: true, Close: s.Close,
		Make: func(route string, f *routes.Fields) (routing.Factory, error) {
			command := Command{
				Arguments: f.Texts("command"), MaxProcesses: int(f.Integer("max_processes", 0, math.MaxInt32)), MaxTime: f.Duration("max_time"),
			}
			if err := f.Done(); err != nil {
				return nil, err
			}
			made, err := s.Factory(route, command)
			if err == nil {
				err = findProgram(command.Arguments[0])
			}
			return made, err
		},
		Describe: func(f routing.Factory) (map[string]any, bool) {
			own, ok := f.(*Factory)
			if !ok {
				return nil, false
			}
			return own.command.describe(), true
		},
	}
}

// findProgram says why a program can't be started, as a *routes.FieldError.
func findProgram(name string) error {
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound) && filepath.Base(name) == name:
		return routing.WrongField("command[0]", "there is no program %q in PATH", name)
	}
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return routing.WrongField("command[0]", "%s can't be started: %w", name, err)
}

// describe is the command as a route's description has it.
func (c Command) describe() map[string]any {
	arguments := make([]any, len(c.Arguments))
	for i, argument := range c.Arguments {
		arguments[i] = argument
	}
	fields := map[string]any{"command": arguments}
	if c.MaxProcesses > 0 {
		fields["max_processes"] = int64(c.MaxProcesses)
	}
	if c.MaxTime > 0 {
		fields["max_time"] = c.MaxTime.String()
	}
	return fields
}
