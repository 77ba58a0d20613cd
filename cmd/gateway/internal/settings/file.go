package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"github.com/zioflow/gateway/internal/nearest"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/internal/yamlfile"
)

// File is the flag that names the configuration file.
type File string

// BeforeResolve is called by kong before it looks for values: it reads the file.
func (File) BeforeResolve(ctx *kong.Context, r *Reading) error {
	i := slices.IndexFunc(ctx.Flags(), func(f *kong.Flag) bool { return f.Target.Type() == reflect.TypeFor[File]() })
	if i < 0 {
		return nil
	}
	value, _ := ctx.FlagValue(ctx.Flags()[i]).(File)
	path := string(value)
	if path == "" || r.document != nil {
		return nil
	}
	if strings.HasPrefix(path, "~/") {
		path = kong.ExpandPath(path)
	}
	document, err := yamlfile.Read(path)
	if err != nil {
		return err
	}
	r.document = document
	values, err := r.readFile(ctx)
	if err != nil {
		return err
	}
	ctx.AddResolver(values)
	return nil
}

// fileValues is what the configuration file has for a flag, as kong takes it. It
// implements kong.Resolver.
type fileValues map[string]any

// Validate implements kong.Resolver: readFile has done so.
func (fileValues) Validate(*kong.Application) error { return nil }

// Resolve returns the file's value for a flag, unless the environment has one.
func (v fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if _, set := variable(flag); set {
		return nil, nil
	}
	return v[flag.Name], nil
}

// readFile reads the values of the keys, and says all that is wrong with them.
func (r *Reading) readFile(ctx *kong.Context) (fileValues, error) {
	flags, names := settable(ctx)
	values := fileValues{}
	var wrong yamlfile.Problems
	for _, key := range r.document.Keys() {
		flag := flags[key.Name]
		if flag == nil {
			if !slices.Contains(names, key.Name) {
				wrong = append(wrong, r.document.At(key.Node, fmt.Errorf("%s is not an option%s", named(key.Name), nearest.DidYouMean(key.Name, names))))
			}
			continue // another command's
		}
		value, err := r.readValue(flag, key)
		if err == nil {
			values[key.Name] = value
			continue
		}
		if all, ok := errors.AsType[yamlfile.Problems](err); ok {
			wrong = append(wrong, all...)
		} else if one, ok := errors.AsType[*yamlfile.Problem](err); ok {
			wrong = append(wrong, one)
		}
	}
	return values, wrong.Err()
}

// named is a key as an error has it: in quotes if nobody would see it otherwise, and not whole if
// it is long.
func named(key string) string {
	if strings.TrimSpace(key) != key || key == "" {
		return strconv.Quote(text.Cut(key, longest))
	}
	return text.Cut(key, longest)
}

// settable are the command's flags that a file can set, and the names of all that it may
// have: where the command is not serve, those of serve as well.
func settable(ctx *kong.Context) (flags map[string]*kong.Flag, names []string) {
	flags = map[string]*kong.Flag{}
	for _, flag := range ctx.Flags() {
		if isSetting(flag) {
			flags[flag.Name] = flag
			names = append(names, flag.Name)
		}
	}
	if flags[routesKey] != nil {
		return flags, names
	}
	for _, command := range ctx.Model.Leaves(false) {
		for _, flag := range command.Flags {
			if isSetting(flag) {
				names = append(names, flag.Name)
			}
		}
	}
	return flags, names
}

// isSetting tells whether a flag stands for a setting: some are asked for once.
func isSetting(flag *kong.Flag) bool { return flag.Name != "help" && !flag.Tag.Has("once") }

// readValue reads the value of a key, as kong takes it. An error has its place.
func (r *Reading) readValue(flag *kong.Flag, key yamlfile.Key) (any, error) {
	if flag.Name == routesKey {
		return r.readRoutes(key)
	}
	texts, err := r.document.Strings(key.Value)
	if problem, ok := errors.AsType[*yamlfile.Problem](err); ok {
		problem.Err = fmt.Errorf("%s: %w", flag.Name, problem.Err)
		return nil, problem
	}
	for i, given := range texts {
		if !flag.IsSlice() && flag.Target.Type() != reflect.TypeFor[openFronts]() {
			given = strings.Join(texts, ",")
		}
		target := reflect.New(flag.Target.Type()).Elem()
		err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: kong.ScanAsType(kong.FlagValueToken, given)}, target)
		if err == nil && flag.Enum != "" && !flag.EnumMap()[given] {
			err = notOne(given, flag.EnumSlice())
		}
		if err != nil && flag.IsBool() {
			err = refused(given, wantSwitch, nil)
		}
		if err != nil {
			at := key.Value
			if len(at.Content) > i {
				at = at.Content[i]
			}
			return nil, r.document.At(at, fmt.Errorf("%s: %w", flag.Name, err))
		}
	}
	if flag.IsSlice() && key.Value.Kind == yaml.SequenceNode {
		return kong.JoinEscaped(texts, flag.Tag.Sep), nil
	}
	return strings.Join(texts, ","), nil
}

// readRoutes reads the list of routes. A rules_file is relative to the file's folder.
func (r *Reading) readRoutes(key yamlfile.Key) (any, error) {
	value, err := r.document.Value(key.Value)
	if err != nil {
		return nil, err
	}
	specs, errs := readRoutes(value, filepath.Dir(r.document.Name()))
	var wrong yamlfile.Problems
	for _, err := range errs {
		wrong = append(wrong, r.document.At(r.document.Find(yamlfile.PathOf(err.Error())), hintAt(err)))
	}
	return specs, wrong.Err()
}
