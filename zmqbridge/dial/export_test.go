package dial

// NewBy is New with another way to make connections.
var NewBy = newConn
