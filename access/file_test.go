package access_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/access"
)

// The public keys in libzmq's description of CURVE.
const (
	keyOne = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
	keyTwo = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
)

func TestCurveKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		keyOne: "54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652",
		keyTwo: "bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518",
	} {
		key, err := access.ParseCurveKey(text)
		if got := hex.EncodeToString(key[:]); err != nil || got != want || key.String() != text {
			t.Errorf("%s is %s (%v), %s again, want %s", text, got, err, key, want)
		}
	}
	for _, bad := range []string{"", keyOne[1:], keyOne + "0", strings.Repeat("#", 40), strings.Repeat("~", 40)} {
		if key, err := access.ParseCurveKey(bad); err == nil {
			t.Errorf("%q was read as %v", bad, key)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	rules, err := access.Parse([]byte(`
identities:
- name: reader
  roles: [client]
  curve-keys: ["` + keyOne + `"]
  tokens:
  - sha256: ` + access.HashToken("a") + `
    expires: 2027-01-31T12:00:00Z
  certificates: ['dns:reader.example.org']
  limits: {max-flows: 3, directions: [inject], attributes: 'attributes.stream == "raw"'}
- name: boss
  roles: [client, handler, admin]
jwt:
- issuer: https://login.example.org
  audience: gateway
  name-prefix: "login:"
  roles: {staff: [client, handler]}
`))
	if err != nil || rules.Identities() != 2 || !rules.TokensInUse() {
		t.Fatalf("read %+v, %v", rules, err)
	}
	if rules, err = access.Parse(nil); err != nil || rules.Identities() != 0 || rules.TokensInUse() {
		t.Errorf("an empty file: %+v, %v", rules, err)
	}
}

// TestParseRefuses: what is wrong is named, with the place where it stands.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	hash := access.HashToken("a")
	for text, want := range map[string]string{
		"identities: [{name: a, roles: [client], colour: red}]": "colour",
		"identity: []":                                                                                       "identity",
		"identities: [{roles: [client]}]":                                                                    "identities[0]: name",
		"identities: [{name: 'a b', roles: [client]}]":                                                       "identities[0] (a b): name",
		"identities: [{name: a}]":                                                                            "identities[0] (a): roles: is empty",
		"identities: [{name: a, roles: [client, chef]}]":                                                     `identities[0] (a): roles[1]: "chef" is no role`,
		"identities: [{name: a, roles: [client]}, {name: a, roles: [client]}]":                               "identities[1] (a): name: another",
		"identities: [{name: a, roles: [client], curve-keys: [short]}]":                                      "identities[0] (a): curve-keys[0]",
		"identities: [{name: a, roles: [client], tokens: [{sha256: 12}]}]":                                   "identities[0] (a): tokens[0].sha256",
		"identities: [{name: a, roles: [client], tokens: [{sha256: " + hash + ", expires: soon}]}]":          "identities[0] (a): tokens[0].expires",
		"identities: [{name: a, roles: [client], tokens: [{sha256: " + hash + "}, {sha256: " + hash + "}]}]": "tokens[1].sha256: identity a",
		"identities: [{name: a, roles: [client], certificates: ['cn:x', 'CN:x']}]":                           "certificates[1]: identity a",
		"identities: [{name: a, roles: [client], certificates: ['']}]":                                       "certificates[0]: is empty",
		"identities: [{name: a, roles: [client], limits: {max-flows: -1}}]":                                  "identities[0] (a): limits: max-flows",
		"identities: [{name: a, roles: [client], limits: {directions: [up]}}]":                               "limits: directions[0]",
		"identities: [{name: a, roles: [client], limits: {attributes: 'attributes ='}}]":                     "limits: attributes",
		"identities: [{name: a, roles: [client], limits: {attributes: '1 + 1'}}]":                            "want bool",
		"identities: [{name: a, roles: [client], limits: {listener-names: [x, '']}}]":                        "limits: listener-names[1]: has 0 bytes",
		"jwt: [{audience: a}]": "jwt[0]: issuer",
		"jwt: [{issuer: 'http://login.example.org', audience: a}]":                                                               "no https URL",
		"jwt: [{issuer: 'https://login.example.org'}]":                                                                           "jwt[0] (https://login.example.org): audience",
		"jwt: [{issuer: 'https://a', audience: a, jwks: 'http://a/keys'}]":                                                       "jwks",
		"jwt: [{issuer: 'https://a', audience: a, roles: {staff: [chef]}}]":                                                      "roles.staff[0]",
		"jwt: [{issuer: 'https://a', audience: a, limits: {max-flows: -1}}]":                                                     "limits: max-flows",
		"jwt: [{issuer: 'https://a', audience: a}, {issuer: 'https://a', audience: b}]":                                          "jwt[1] (https://a): issuer: stands here twice",
		"jwt: [{issuer: 'https://a', audience: a}, {issuer: 'https://b', audience: b}]":                                          "jwt[0] (https://a): name-prefix: \"\" begins with \"\", that of jwt[1] (https://b)",
		"jwt: [{issuer: 'https://a', audience: a, name-prefix: 'a:'}, {issuer: 'https://b', audience: b, name-prefix: 'a:b:'}]":  `jwt[1] (https://b): name-prefix: "a:b:" begins with "a:", that of jwt[0] (https://a)`,
		"jwt: [{issuer: 'https://a', audience: a, name-prefix: 'a:b'}, {issuer: 'https://b', audience: b, name-prefix: 'a:'}]":   `jwt[0] (https://a): name-prefix: "a:b" begins with "a:", that of jwt[1] (https://b)`,
		"{identities: [{name: 'a:b', roles: [client]}], jwt: [{issuer: 'https://a', audience: a, name-prefix: 'a:'}]}":           `jwt[0] (https://a): name-prefix: is "a:", with which the name of identities[0] (a:b)`,
		"{identities: [{name: b, roles: [client]}], jwt: [{issuer: 'https://a', audience: a}]}":                                  `jwt[0] (https://a): name-prefix: is "", with which the name of identities[0] (b)`,
		"jwt: [{issuer: 'https://a', audience: a, name-prefix: 'a b'}]":                                                          "jwt[0] (https://a): name-prefix",
		"identities: [{name: a, roles: [client], certificates: [x.example.org]}]":                                                "write dns:x.example.org, or cn:x.example.org",
		"identities: [{name: a, roles: [client], certificates: ['Alice S.']}]":                                                   "write cn:Alice S.",
		"identities: [{name: a, roles: [client], certificates: ['dns:a b']}]":                                                    `certificates[0]: "a b" is no DNS name`,
		"identities: [{name: a, roles: [client], certificates: ['email:a']}]":                                                    `certificates[0]: "a" is no email`,
		"identities: [{name: a, roles: [client], certificates: ['uri:a']}]":                                                      `certificates[0]: "a" is no URI`,
		"identities: [{name: a, roles: [client], certificates: ['cn:']}]":                                                        "certificates[0]: there is nothing after cn:",
		"identities: [{name: a, roles: [client], certificates: ['dns:X']}, {name: b, roles: [client], certificates: ['dns:x']}]": "identities[1] (b): certificates[0]: identity a",
		"identities: [": "",
	} {
		if rules, err := access.Parse([]byte(text)); err == nil {
			t.Errorf("%s\nwas read as %+v", text, rules)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis refused with %q, want %q in it", text, err, want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "who.yaml")
	if _, err := access.Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Load(path); err == nil || !strings.Contains(err.Error(), path+": is empty") {
		t.Errorf("a file that is not written yet: %v", err)
	}
	if err := os.WriteFile(path, []byte("identities: 5"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a bad file: %v", err)
	}
}
