// Package client is the wire of Prunella's HTTP API: the JSON types that both
// ends speak, and a Go client with one method per endpoint. The command line,
// the scenario runner and the web pages use it; it knows nothing of how a
// server stores or decides.
//
// Every answer is one JSON object; times are RFC 3339 in UTC, durations that a
// noun declares as time.Duration are nanoseconds, shares and confidences are
// fractions from 0 to 1. Errors are RFC 9457 problem documents
// (application/problem+json); the client turns them back into *prunella.Error,
// so that prunella.KindOf works on both sides of the wire. A server that
// cannot be reached, or that does not answer in time, is prunella.Unavailable.
package client
