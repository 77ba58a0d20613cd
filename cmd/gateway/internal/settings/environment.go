package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/internal/nearest"
)

// Prefix is that of the environment's variables.
const Prefix = "ZIO_GATEWAY_"

// variable is the one that sets a flag. One that is empty sets nothing.
func variable(flag *kong.Flag) (name string, set bool) {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return name, true
		}
	}
	return "", false
}

// ForgetEmpty has kong take empty variables of the environment for ones that are not set.
func ForgetEmpty(parser *kong.Kong) error {
	return kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flag.Tag.Envs = slices.DeleteFunc(slices.Clone(flag.Tag.Envs), func(name string) bool {
				value, set := os.LookupEnv(name)
				return set && value == ""
			})
		}
		return next(nil)
	})
}

// others are variables that programs find which a route starts, and those that others of
// our programs know.
var others = regexp.MustCompile(`^ZIO_GATEWAY_(CID|FLOW|PROGRAM|BINARY|TARGET)$`)

// service are the variables that Kubernetes and Docker set for a service or container of
// our name.
var service = regexp.MustCompile(`^ZIO_GATEWAY_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|NAME|ENV_.*)$`)

// CheckEnvironment refuses variables with our prefix that set nothing: a slip would leave
// the default in force, or have another gateway be asked.
func CheckEnvironment(app *kong.Application) error {
	var known []string
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, flag.Envs...)
		}
		return next(nil)
	})
	if err != nil {
		return err
	}
	var wrong []error
	for _, entry := range slices.Sorted(slices.Values(os.Environ())) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || value == "" || slices.Contains(known, name) || others.MatchString(name) || service.MatchString(name) {
			continue
		}
		wrong = append(wrong, fmt.Errorf("the environment's %s sets no option%s", name, nearest.DidYouMean(name, known)))
	}
	return errors.Join(wrong...)
}
