package rotation

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what New takes. Issuer, Store and Signer are needed.
type Config struct {
	Issuer    string    // iss of the tokens, and the URL below which discovery lives
	JWKS      string    // URL of the key set as verifiers see it; default Issuer + "/.well-known/jwks.json"
	Algorithm Algorithm // of new keys; default RS256
	Policy    Policy
	Verifiers []Verifier // who verifies these tokens. Every node must have the same list

	Store  Store
	Signer Signer

	Node    string                // who this is in the audit trail; default the host name
	Tick    time.Duration         // how often the loop looks; default 1 s, at most a quarter of Policy.Stale
	Client  *http.Client          // for its transport; timeouts and redirects are ours
	Metrics prometheus.Registerer // nil counts nothing
	Log     *slog.Logger          // nil is slog.Default
}
