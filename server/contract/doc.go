// Package contract translates between the broker's words and those of the generated
// contract: labels and BOTs, attributes, peers, routes, and the statuses with which calls end.
package contract
