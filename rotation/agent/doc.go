// Package agent lets a service join a rotation that reads its issuer's keys from
// a file and tells nobody. The agent runs beside it. It keeps the file current,
// makes the service load it, shows the service a canary token to see that it
// did, and acknowledges for it.
//
//	a, err := agent.New(agent.Config{
//		Issuer: "https://id.example.com", File: "/etc/orders/keys.json",
//		Reload: agent.Signal("/run/orders.pid", syscall.SIGHUP),
//		Probe:  "http://127.0.0.1:8080/orders",
//		Acknowledge: keyset.Acknowledge{URL: "https://id.example.com/keys/ack/orders", Secret: secret, Instance: "orders-1"},
//	})
//	err = a.Run(ctx)
//
// What is promised: the file is at every moment a whole document that package
// keyset would accept, and it is replaced only by another one. A key is told
// only once it is in the file and the service was made to load it, and as seen
// only once the service accepted a canary of it and refused a request without.
// The agent says that the service stays when it falls silent itself, because it
// does: the issuer then waits.
//
// Not here: the file's format is a JWKS (RFC 7517), nothing else.
package agent
