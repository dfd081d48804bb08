package match_test

import (
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/match"
)

var began = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// A text whose sender names no service is still about one, and its signal is
// told under that name.
func TestServiceOfATextWithoutOne(t *testing.T) {
	for _, c := range []struct{ source, body, attr, want string }{
		{"Login Monitor", "the ledger service refuses every token: signature verification failed", "", "ledger"},
		{"sec-ops", "the token server signs with another key, 5 of 8 consumers never received it", "", "token"},
		{"pager", "quotes-svc: 100% of requests fail", "", "quotes"},
		{"pager", `{"level":"error","service":"basket","msg":"unknown kid zz-1"}`, "", "basket"},
		{"pager", "unknown kid zz-1", "parcels", "parcels"},
		{"Parcel Tracking Monitor", "every downstream service is down, unknown kid zz-1", "", "parcel-tracking"},
		{"ledger-service-alerts", "No space left on device", "", "ledger"},
		{"otlp", "No space left on device", "", ""},
	} {
		s := prunella.Signal{ID: "1", Source: c.source, Kind: prunella.KindLog, Severity: prunella.Critical, Body: c.body, Time: began, Received: began}
		if c.attr != "" {
			s.Attributes = map[string]string{"service.name": c.attr}
		}
		d := match.NewDetector(match.Default())
		step := d.Observe([]prunella.Signal{s}, began)
		more := d.Observe(nil, began.Add(time.Minute))
		found := append(step.Findings, more.Findings...)
		if len(found) != 1 || found[0].Service != c.want || step.Interesting[0].Service != c.want {
			t.Errorf("%s: %q: findings %+v, want one of %q", c.source, c.body, found, c.want)
		}
	}
}

// What refuses a token is an authentication failure, whether or not the
// library says "token".
func TestStatusOfClaims(t *testing.T) {
	for body, want := range map[string]string{
		"IDX10214: Audience validation failed.":                       "401",
		"The aud claim is not valid":                                  "401",
		"oidc: get keys failed: context deadline exceeded":            "401",
		"InvalidAudienceError: Audience doesn't match":                "401",
		"No space left on device":                                     "",
		"could not connect to server, is it running on db-1 port 54?": "",
	} {
		d := match.NewDetector(match.Default())
		s := prunella.Signal{ID: "1", Source: "m", Service: "s", Kind: prunella.KindLog, Severity: prunella.Critical, Body: body, Time: began, Received: began}
		found := d.Observe([]prunella.Signal{s}, began).Findings
		found = append(found, d.Observe(nil, began.Add(time.Minute)).Findings...)
		if len(found) != 1 || found[0].Status != want {
			t.Errorf("%q: %+v, want status %q", body, found, want)
		}
	}
}

// A line of key=value pairs or JSON without a sentence in it, from a sender that
// gives no severity, is read like one.
func TestTerseLines(t *testing.T) {
	for _, c := range []struct{ body, service, status, tokens string }{
		{"level=error svc=order code=401 kid=abc err=no_such_key", "order", "401", "kid:abc says:key"},
		{`{"level":"error","service":"cart","status":401,"error":"UnknownKid","kid":"main"}`, "cart", "401", "kid:main says:key"},
		{`{"level":50,"app":"till","err":{"message":"jwt expired"}}`, "till", "401", "says:time"},
		{`time=2026-03-29T10:00:00Z severity=ERROR app=tax reason=invalid_audience`, "tax", "401", "says:audience"},
		{"lvl=error service=wal status=503 err=upstream_down token_cache=cold", "wal", "5xx", ""},
		{"2026-03-29 10:00:00 ERROR [main] c.e.Filter - Unable to find a signing key that matches: 'k-1'", "", "401", "kid:k-1 says:key"},
		{"level=info svc=order msg=started errors=0", "", "", ""},
		{"level=error svc=desk msg=\"license key expired\" id=LK-2026-0042", "desk", "", ""},
	} {
		d := match.NewDetector(match.Default())
		s := prunella.Signal{ID: "1", Source: "otlp", Kind: prunella.KindLog, Severity: prunella.Info, Body: c.body, Time: began, Received: began}
		found := d.Observe([]prunella.Signal{s}, began).Findings
		found = append(found, d.Observe(nil, began.Add(time.Minute)).Findings...)
		if strings.Contains(c.body, "level=info") {
			if len(found) > 0 {
				t.Errorf("%s: %+v", c.body, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Service != c.service || found[0].Status != c.status || strings.Join(found[0].Tokens, " ") != c.tokens {
			t.Errorf("%s:\n %+v,\n want %q", c.body, found, c)
		}
	}
}
