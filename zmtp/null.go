package zmtp

// null is the mechanism NULL (RFC 23): each end sends READY. An end that is
// AsServer sends it after the peer's, and can so refuse instead.
type null struct{}

func (null) begin(h *Handshake, out []byte) ([]byte, *Error) {
	if h.config.AsServer {
		return out, nil
	}
	return appendReady(out, h.config), nil
}

func (null) waits() string { return cmdReady }

func (null) receive(h *Handshake, out, data []byte) ([]byte, *Error) {
	if err := h.admit(data); err != nil {
		return out, err
	}
	if err := h.authorize(); err != nil {
		return out, err
	}
	if h.config.AsServer {
		out = appendReady(out, h.config)
	}
	h.done = true
	return out, nil
}

func (null) mayRefuse() bool { return true }

// appendReady appends a frame with NULL's READY.
func appendReady(out []byte, c *Config) []byte {
	return appendFrame(out, cmdReady, appendProperties(nil, c))
}
