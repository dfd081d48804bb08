// Package monitor looks at the world on its own account and turns what it sees
// into Signals: the published key set (JWKS), freshly issued tokens (Token),
// canary calls to every service (Canary), releases (Releases), and a beat that
// tells an outside watcher that we are alive (Heartbeat).
//
// A monitor's RunOnce looks once and returns what is worth saying; the Runner
// calls it again and again, publishes the Signals, and only then tells the
// monitor that they were Accepted, upon which the monitor moves on. So a change
// that could not be published is found and published again, under the same
// SignalID, also after a restart: what a monitor compares with is kept in a State.
//
// What is said, and when:
//
//   - Canary says one "canary" probe for each service on every run.
//   - JWKS and Token say a "jwks" or "token" probe while something is wrong, on
//     their first run, and once when it is right again.
//   - JWKS, Token and Releases say a change Signal for each difference from what
//     was seen before. The first observation ever is not a change, and a key set
//     that cannot be read is not an empty one.
//
// A change Signal's Time is when the issuer says it happened, where it says so
// believably, else when it was seen; attribute AttrNotBefore is when the world
// was last seen without the change.
//
// How to look is not here: package action asks the world, and its World serves
// as the World of this package.
package monitor
