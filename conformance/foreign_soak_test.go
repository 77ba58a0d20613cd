//go:build soak

package main_test

func init() {
	thorough = true
	// JeroMQ takes minutes to set up, where there is no Java. It speaks ZMTP 3.0, and PING
	// all the same.
	libraries = append(libraries, &library{
		name: "jeromq", sockets: []transportName{viaDealer}, curve: true, pings: true, command: func() ([]string, error) {
			const folder = "../.deps/java"
			// The interpreter would rather compile everything than start soon.
			arguments := []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", folder + "/*:" + folder + "/classes", "Peer"}
			_, err := ready("java", folder+"/classes/Peer.class")()
			return arguments, err
		},
	})
}
