package access

// file is an identities file.
type file struct {
	Identities []fileIdentity `yaml:"identities"`
	JWT        []fileIssuer   `yaml:"jwt"`
}

type fileIdentity struct {
	Name         string      `yaml:"name"`
	Roles        []string    `yaml:"roles"`
	CurveKeys    []string    `yaml:"curve-keys"`
	Tokens       []fileToken `yaml:"tokens"`
	Certificates []string    `yaml:"certificates"`
	Limits       fileLimits  `yaml:"limits"`
}

type fileToken struct {
	SHA256  string `yaml:"sha256"`
	Expires string `yaml:"expires"`
}

type fileLimits struct {
	MaxFlows   int      `yaml:"max-flows"`
	Directions []string `yaml:"directions"`
	Attributes string   `yaml:"attributes"`
	Names      []string `yaml:"listener-names"`
}

type fileIssuer struct {
	Issuer     string              `yaml:"issuer"`
	Audience   string              `yaml:"audience"`
	JWKS       string              `yaml:"jwks"`
	NameClaim  string              `yaml:"name-claim"`
	NamePrefix string              `yaml:"name-prefix"`
	RolesClaim string              `yaml:"roles-claim"`
	Roles      map[string][]string `yaml:"roles"`
	Limits     fileLimits          `yaml:"limits"`
}
