package guard

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/zioflow/gateway/access"
)

// Curve is the secret key of the ZeroMQ addresses. Its methods may be called concurrently.
type Curve struct {
	log    *slog.Logger
	file   string
	engine string // that speaks ZeroMQ

	mu     sync.Mutex
	secret string             // guarded by mu; empty for no CURVE
	set    func(string) error // guarded by mu; puts another one to use; nil before there is an address
}

// Open has a function open the addresses with the secret key, which is empty for no
// CURVE. What the function returns puts another one to use.
func (k *Curve) Open(open func(secret string) (set func(string) error, err error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	set, err := open(k.secret)
	k.set = set
	return err
}

// check says whether another secret key can be put to use.
func (k *Curve) check(secret string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.engine == "libzmq" && secret != k.secret {
		return fmt.Errorf("zmq-curve-key: another key is in %s: with --zmq-engine libzmq that needs a restart", k.file)
	}
	return nil
}

// replace puts the secret key to use for new connections, if it is another, and tells so.
func (k *Curve) replace(secret string) (changes []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if secret == k.secret {
		return nil
	}
	k.secret = secret
	if k.set == nil { // the addresses will be opened with it, if there are any
		return nil
	}
	if err := k.set(secret); err != nil { // not so: it was checked
		k.log.Error("CURVE key not put to use", "error", err)
		return nil
	}
	return []string{"zmq-curve-key: the public key is " + publicKey(secret)}
}

// publicKey is the one that belongs to a secret key, both in Z85.
func publicKey(secret string) string {
	key, err := access.ParseCurveKey(secret)
	if err != nil {
		return ""
	}
	public, err := key.Public()
	if err != nil {
		return ""
	}
	return public.String()
}
