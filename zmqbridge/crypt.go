package zmqbridge

// crypt holds what has come of a large frame under CURVE, which has to lie in one
// piece to be opened: have of need bytes. need is 0 while none is being read. The
// memory grows as bytes come.
type crypt struct {
	sealed     *slab
	have, need int
}

// held is what the frame that is being read has in the account.
func (c *crypt) held() int64 {
	if c.sealed == nil {
		return 0
	}
	return int64(len(c.sealed.data))
}

func (c *crypt) drop() {
	if c.sealed != nil {
		c.sealed.release()
		c.sealed, c.need = nil, 0
	}
}
