package access

import (
	"fmt"
	"regexp"

	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/rights"
)

// identity is somebody, with roles and limits.
type identity struct {
	name   string
	roles  map[Role]bool
	limits limits
}

// limits are what an identity may do in its roles. The zero value sets none.
type limits struct {
	maxFlows        int
	extract, inject bool // both false for both
	match           matching.Match
	names           *nameRights
}

// rights are what the broker is to allow.
func (i *identity) rights() rights.Rights {
	l := i.limits
	both := !l.extract && !l.inject
	return rights.Rights{
		Client: i.roles[Client], Handler: i.roles[Handler],
		Extract: l.extract || both, Inject: l.inject || both,
		MaxFlows: l.maxFlows, Match: l.match, Names: l.names,
	}
}

// validName is what a name may be: it stands in logs, metrics and metadata.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,126}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is not up to 127 letters, digits and . _ : @ / + -, the first a letter or digit", name)
	}
	return nil
}
