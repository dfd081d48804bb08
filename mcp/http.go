package mcp

import (
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Handler serves streamable HTTP to who shows the token as a bearer token. A
// request to a name that is not this machine's is refused: a page elsewhere
// could point its own name here.
func Handler(s *sdk.Server, token string, log *slog.Logger) http.Handler {
	streams := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Logger: log, SessionTimeout: 30 * time.Minute})
	guarded := http.NewCrossOriginProtection().Handler(streams)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !own(r.Host) {
			http.Error(w, "This server answers to localhost only.", http.StatusMisdirectedRequest)
			return
		}
		shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="prunella"`)
			http.Error(w, "Show the token that the server was started with: Authorization: Bearer TOKEN.", http.StatusUnauthorized)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func own(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
