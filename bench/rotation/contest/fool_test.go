package contest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// newFool is a client that accepts every token, and lets all time pass.
func newFool(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(server.Close)
	return server.URL
}
