// Package protocol is how a contest talks to a verifier that it knows nothing
// about: two POSTs of JSON, of which the second is optional.
//
//	POST /verify   {"issuer": "http://127.0.0.1:9100/…", "jwks_uri": "http://…/jwks", "audience": "contest", "token": "eyJ…"}
//
// The verifier judges the token with the one cache that it keeps for this
// issuer, making it when it sees the issuer first, and answers 200 (accepted)
// or 401 (refused). The body may be {"error": "…", "virtual_ms": 12.5}: what the
// library said, and how much of its own virtual time the request took. A verifier
// that is configured for one issuer may ignore all but the token.
//
//	POST /advance  {"seconds": 60}
//
// A verifier whose time is virtual lets that much of it pass, timers included,
// and answers 200. Its clock begins at Epoch and stands still between two
// requests. One that lives in real time answers 404.
//
// A contestant of the tournament also understands "instances": the number of
// caches, each made for itself, that are to judge the same token. It answers 200
// with {"accepted": n}.
package protocol
