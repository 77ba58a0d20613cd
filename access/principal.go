package access

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker/rights"
)

// Principal is who somebody has proved to be. It implements rights.Grant. Its
// methods may be called concurrently; they answer by the rules in force.
type Principal struct {
	rules      *atomic.Pointer[Rules] // those in force
	name       string
	credential credential
}

// Name is the identity's.
func (p *Principal) Name() string { return p.name }

// Rights implements rights.Grant. There are none when what has proved the name
// does so no more: it was withdrawn, given to somebody else, or has expired.
func (p *Principal) Rights() rights.Rights {
	if holder := p.holder(); holder != nil {
		return holder.rights()
	}
	return rights.Rights{}
}

// Need returns nil if the principal has one of the roles, otherwise the denial.
func (p *Principal) Need(roles ...Role) *Denial {
	holder := p.holder()
	for _, role := range roles {
		if holder != nil && holder.roles[role] {
			return nil
		}
	}
	return &Denial{Cause: WrongRole, Identity: p.name, Detail: fmt.Sprintf("not allowed: needs the role %s", either(roles))}
}

func either(roles []Role) string {
	text := ""
	for i, role := range roles {
		if i > 0 {
			text += " or "
		}
		text += string(role)
	}
	return text
}

func (p *Principal) holder() *identity {
	holder := p.credential.holder(p.rules.Load(), time.Now())
	if holder == nil || holder.name != p.name {
		return nil
	}
	return holder
}
