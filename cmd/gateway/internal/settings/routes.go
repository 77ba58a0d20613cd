package settings

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/zioflow/gateway/broker/routes"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/nearest"
)

// routesKey is the key of the configuration file that has a list of its own.
const routesKey = "routes"

// routeList is the configuration file's list of routes, read but not made yet.
type routeList struct{ specs []routes.Spec }

// Decode implements kong.MapperValue. Only a configuration file has routes.
func (l *routeList) Decode(ctx *kong.DecodeContext) error {
	specs, ok := ctx.Scan.Pop().Value.([]routes.Spec)
	if !ok {
		return errors.New("routes can be set in the configuration file only")
	}
	l.specs = specs
	return nil
}

// String leaves it to the gateway to tell what has changed: that may be in a
// rules_file.
func (l routeList) String() string { return "" }

// readRoutes reads a decoded list of routes. A rules_file is relative to the folder. An
// error begins with the field: "routes[2].exec.max_time: …"; each route has one at most.
func readRoutes(value any, folder string) (specs []routes.Spec, wrong []error) {
	if value == nil {
		return nil, []error{errors.New("routes: has no value")}
	}
	items, ok := value.([]any)
	if !ok {
		return nil, []error{errors.New("routes: want a list")}
	}
	specs = make([]routes.Spec, len(items))
	for i, item := range items {
		var err error
		if specs[i], err = readRoute(item, folder); err != nil {
			wrong = append(wrong, fmt.Errorf("routes[%d]%w", i, err))
		}
	}
	return specs, wrong
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

// routeWords are the keys that a route, and the kinds of factories, know: those of the
// contract, and one that only the file has.
var routeWords = append(wordsOf(new(gatewayv1.Route).ProtoReflect().Descriptor()), "rules_file")

// wordsOf are the names of a message's fields, and of those of the messages in it that are the
// contract's.
func wordsOf(m protoreflect.MessageDescriptor) (words []string) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		words = append(words, string(f.Name()))
		if inner := f.Message(); inner != nil && inner.ParentFile().Package() == m.ParentFile().Package() {
			words = append(words, wordsOf(inner)...)
		}
	}
	return words
}

// hintAt adds to an error that says of a route's key that it is not known what may have
// been meant.
func hintAt(err error) error {
	where, found := strings.CutSuffix(err.Error(), ": is not known here")
	if !found || !strings.HasPrefix(where, routesKey) {
		return err
	}
	key := where[strings.LastIndexByte(where, '.')+1:]
	if hint := nearest.DidYouMean(key, routeWords); hint != "" {
		return fmt.Errorf("%w%s", err, hint)
	}
	return err
}
