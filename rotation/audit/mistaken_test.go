package audit_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"prunella/rotation"
	"prunella/rotation/audit"
)

// A document that is no key set is called what it is.
func TestDocumentsTakenForAKeySet(t *testing.T) {
	set, err := json.Marshal(map[string]any{"keys": newWorld(t, "a").set})
	if err != nil {
		t.Fatal(err)
	}
	list := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":`), "}")
	for text, want := range map[string]string{
		"":                               "empty",
		"\xef\xbb\xbf" + string(set):     "byte order mark",
		"<!doctype html><title>App":      "page for people",
		"-----BEGIN PUBLIC KEY-----\nMI": "PEM",
		list:                             "it is a list",
		strings.Trim(list, "[]"):         "it is one key",
		string(set) + "}x":               "more follows",
		string(set)[:40]:                 "whole",
		`{"keys":{"a":1}}`:               "to be a list",
		`{"keys":null}`:                  "to be a list",
		`{"issuer":"https://x.test","jwks_uri":"https://x.test/k"}`: "https://x.test/k",
		`{"a1":"-----BEGIN CERTIFICATE-----\nMI","b2":"x"}`:         "map of certificates",
		`{"error":"no"}`: "whole",
	} {
		w := newWorld(t)
		w.jwks = func(rec http.ResponseWriter, _ *http.Request) {
			rec.Header().Set("Content-Type", "application/json")
			_, _ = rec.Write([]byte(text))
		}
		r := look(t, audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}})
		if f := r.Findings[0]; f.Rule != "set-refused" || !strings.Contains(f.Remedy, want) || r.Usable {
			t.Errorf("%.30q: %+v", text, f)
		}
	}
}

// Headers that are wrong are read as caches read them.
func TestCachesReadHeadersThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        int64
	}{
		{"Cache-Control", "max-age=99999999999999999999999", 100 * 365 * 24 * 3600},
		{"Cache-Control", "private, max-age=0", 0},
		{"Cache-Control", "max-age=ten", -1},
		{"Cache-Control", "max-age=-5", -1},
		{"Expires", "0", 0},
		{"Expires", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
	} {
		w := newWorld(t, "a", "b")
		w.jwks = func(rec http.ResponseWriter, _ *http.Request) {
			rec.Header().Set(c.name, c.value)
			rec.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rec).Encode(map[string]any{"keys": w.set})
		}
		if r := look(t, audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}}); r.Cache.MaxAge != c.want {
			t.Errorf("%s: %s is read as %d", c.name, c.value, r.Cache.MaxAge)
		}
	}
}

// A discovery document may have a member of another type and still lead somewhere.
func TestDiscoveryOfAnotherType(t *testing.T) {
	for text, want := range map[string]string{
		`{"issuer":"` + issuerURL + `","jwks_uri":"` + issuerURL + `/keys","id_token_signing_alg_values_supported":"RS256"}`: "",
		`{"issuer":7,"jwks_uri":"` + issuerURL + `/keys"}`:                                                                   "error issuer-differs",
		`["` + issuerURL + `"]`: "error discovery-unreadable",
		`<html>`:                "error discovery-unreadable",
	} {
		w := newWorld(t, "a", "b")
		w.document = text
		r := look(t, audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}})
		if got := rules(r); got != want || len(r.Findings) > 0 && strings.Contains(r.Findings[0].Evidence, "struct") {
			t.Errorf("%s: %q, want %q: %+v", text, got, want, r.Findings)
		}
	}
}

// An issuer whose certificate nobody knows is said to have that trouble.
func TestAnUnknownCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	_, err := audit.Run(t.Context(), audit.Config{Issuer: server.URL})
	var e *rotation.Error
	if !errors.As(err, &e) || e.Kind != rotation.Unavailable || !strings.Contains(e.Remedy, "SSL_CERT_FILE") {
		t.Errorf("%v", err)
	}
}
