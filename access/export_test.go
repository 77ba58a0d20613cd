package access

// Refetch asks an issuer for its keys, as is done every so often, and returns why they
// can't be had.
func Refetch(p *Policy, issuer string) error { return p.rules.Load().issuers[issuer].keys.Again() }
