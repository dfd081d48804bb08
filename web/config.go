package web

import (
	"log/slog"
	"net/http"
)

// Config is what Handler needs.
type Config struct {
	Backend Backend
	Version string       // of the engine, shown in the footer
	Log     *slog.Logger // for errors that are our fault
	Metrics http.Handler // serves /metrics; nil for none
}
