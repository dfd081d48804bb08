package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

var silent = slog.New(slog.DiscardHandler)

// replay answers every request with one document, so that package keyset judges
// the bytes that were fetched and not others.
type replay []byte

func (b replay) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b))}, nil
}

const atOnce = 8 // verifiers asked side by side

// ask shows every verifier the tokens there are.
func (r *Report) ask(ctx context.Context, w *web, cfg Config) {
	tokens := r.shown()
	r.Verifiers = make([]VerifierReport, len(cfg.Verifiers))
	var done sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, v := range cfg.Verifiers {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			r.Verifiers[i] = v.ask(ctx, w, tokens)
		})
	}
	done.Wait()
	for _, v := range r.Verifiers {
		r.judgeVerifier(v)
	}
	if len(cfg.Verifiers) > 0 && len(tokens) == 0 {
		r.find(Warning, "nothing-to-show", r.Issuer, "give a client with --token-url, or a token with --canary-token", "no live token is known, so nobody knows what the verifiers trust")
	}
}

func (v Verifier) ask(ctx context.Context, w *web, tokens []token) VerifierReport {
	out := VerifierReport{Name: v.Name, URL: v.URL, Trust: []Trust{}}
	get := func(t string) (page, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL, nil)
		if err != nil {
			return page{}, err
		}
		if t != "" {
			req.Header.Set("Authorization", "Bearer "+t)
		}
		return w.do(req)
	}
	p, err := get("")
	if err != nil {
		out.Guard = "no answer: " + err.Error()
	} else {
		out.Guard = p.text
	}
	guarded := err == nil && p.status == http.StatusUnauthorized
	for _, t := range tokens {
		one := Trust{Key: t.kid, Outcome: Unknown}
		if !guarded {
			one.Detail = "without a token it must answer 401: " + out.Guard
			out.Trust = append(out.Trust, one)
			continue
		}
		p, err := get(t.raw)
		switch {
		case err != nil:
			one.Detail = err.Error()
		case p.status == http.StatusUnauthorized:
			one.Outcome, one.Detail = Rejects, refusal(p)
			if claim := claimIn(one.Detail); claim != "" {
				one.Outcome, one.Detail = Unknown, "refused for "+claim+", not for the key: "+one.Detail
			}
		case p.status/100 == 2 || p.status == http.StatusForbidden: // 403: known, and not entitled
			one.Outcome, one.Detail = Accepts, p.text
		default:
			one.Detail = p.text
		}
		out.Trust = append(out.Trust, one)
	}
	return out
}

func (r *Report) judgeVerifier(v VerifierReport) {
	if len(v.Trust) > 0 && v.Guard != "401 Unauthorized" && !strings.HasPrefix(v.Guard, "401") {
		if strings.HasPrefix(v.Guard, "no answer") {
			r.find(Warning, "verifier-unreachable", v.Name, "see that the address is right and that this machine may reach it", "%s", v.Guard)
		} else {
			r.find(Warning, "verifier-open", v.Name, "name a URL that wants a token", "without a token it answers %s, so accepting one proves nothing", v.Guard)
		}
		return
	}
	for _, t := range v.Trust {
		switch {
		case t.Key == r.Signer && t.Outcome == Rejects:
			r.find(Error, "verifier-rejects-signer", v.Name, "make it fetch the key set (restart it, or refresh its cache); until it has, let the previous key sign",
				"it refuses a genuine token of %s, the signer: %s", t.Key, t.Detail)
		case t.Key == r.Signer && t.Outcome == Unknown:
			r.find(Warning, "verifier-unclear", v.Name, "give a token that it would accept (audience, scope), or another URL", "%s", t.Detail)
		}
	}
}

// refusal is what a 401 says about itself (RFC 6750, section 3), else its body.
func refusal(p page) string {
	for _, h := range p.header.Values("WWW-Authenticate") {
		if m := description.FindStringSubmatch(h); m != nil {
			return fmt.Sprintf("%.200s", m[1])
		}
	}
	if body := strings.Join(strings.Fields(string(p.body)), " "); body != "" {
		return fmt.Sprintf("%.200s", body)
	}
	return p.text
}

var (
	description = regexp.MustCompile(`(?i)error_description="([^"]*)"`)
	aboutKey    = regexp.MustCompile(`(?i)\b(kid|jwks?|signature|signing key|unknown key|key)\b`)
	aboutClaim  = regexp.MustCompile(`(?i)\b(aud|audience|iss|issuer|exp|expired|nbf|not yet valid|scope|azp)\b`)
)

// claimIn names the claim that a refusal is about; "" when it is about the key,
// or does not say.
func claimIn(text string) string {
	if aboutKey.MatchString(text) {
		return ""
	}
	return strings.ToLower(aboutClaim.FindString(text))
}
