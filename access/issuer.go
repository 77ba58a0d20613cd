package access

import "github.com/zioflow/gateway/access/jwks"

// issuer is somebody who vouches for names by JWT.
type issuer struct {
	audience   string
	nameClaim  string
	namePrefix string
	rolesClaim []string          // the way through nested objects
	roles      map[string][]Role // by the claim's words; nil where these are the roles' own
	limits     limits
	keys       *jwks.Source
}

// holder is the identity of that name and those words in the roles claim.
func (i *issuer) holder(name string, words []string) *identity {
	id := &identity{name: name, roles: map[Role]bool{}, limits: i.limits}
	for _, word := range words {
		if i.roles == nil {
			if role, err := parseRole(word); err == nil {
				id.roles[role] = true
			}
			continue
		}
		for _, role := range i.roles[word] {
			id.roles[role] = true
		}
	}
	return id
}
