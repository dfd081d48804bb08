// Package lab is the world that scenarios break: an auth service, seven (or
// more) services that verify its tokens, the control planes that run them, and
// clients that keep calling. Everything is a real HTTP server on loopback with
// real keys, real libraries and real caches, and speaks the public API of the
// real thing, so that what heals the lab would heal production:
//
//	auth        OIDC discovery, JWKS, client-credentials tokens; the key API
//	            below /keys/v1; Auth0's /api/v2/keys/signing calls; key
//	            distribution by Standard Webhooks with delivery records
//	            (Spec.Issuer "rotation" puts package rotation in charge of the
//	            keys: its API below /keys, and of the calls above those that mean
//	            something there; what its gates refuse is 409)
//	services    verify bearer tokens the way their Kind says (see Kinds), read a
//	            YAML file that a ConfigMap mounts, export OTLP logs and metrics,
//	            serve /metrics, /healthz and /readyz
//	control     Kubernetes Deployments, ReplicaSets and ConfigMaps (a restart
//	            really starts a new instance with empty caches and stops the old
//	            one) with discovery, also over TLS for kubectl (World.Kubeconfig);
//	            GitHub releases, Statuspage
//	clients     a seeded traffic generator whose own counts are World.Counts
//
// Start builds a World; Inject breaks it and says what was observed; Revert
// mends it; Inventory is what an operator would write about it. Programs run in
// this process by default, or each as its own operating-system process, which
// is this binary run again (ChildMain).
//
// Not here: any knowledge of the engine that watches the world. The engine sees
// only what a production world would show.
//
// Two rules keep faults real. A refused connection is a closed port: ports that
// faults close are taken outside the ephemeral range, so that nobody else gets
// them meanwhile. And a fault's proof is an observation (a canary token refused,
// a delivery that failed), never the request that caused it.
package lab
