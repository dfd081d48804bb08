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
		r.find(Warning, "nothing-to-show", r.Issuer, "give a client with --token-url, or a token with --canary-token", "no live token of a published key is known, so nobody knows what the verifiers trust")
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
		return w.do(req, false)
	}
	p, err := get("")
	if err != nil {
		out.Guard = "no answer: " + err.Error()
	} else {
		out.Guard = p.text
	}
	out.guard = p
	guarded := err == nil && (p.status == http.StatusUnauthorized || p.status == http.StatusForbidden)
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
			if forged, err := get(t.forged()); err != nil || forged.status == p.status {
				one.Outcome, one.Detail = Unknown, p.text+", and the same with a forged signature"
				out.blind = err == nil && p.status/100 == 2
				if err != nil {
					one.Detail = p.text + ", and with a forged signature no answer: " + err.Error()
				}
			}
		default:
			one.Detail = refusal(p)
			if one.Detail != p.text {
				one.Detail = p.text + ": " + one.Detail
			}
		}
		out.Trust = append(out.Trust, one)
	}
	return out
}

// forged is the token with another signature of the same length.
func (t token) forged() string {
	at := strings.LastIndexByte(t.raw, '.') + 1
	sig := []byte(t.raw[at:])
	for i := range sig[:len(sig)/2] { // the last character may have bits that count for nothing
		switch sig[i] {
		case 'A':
			sig[i] = 'B'
		default:
			sig[i] = 'A'
		}
	}
	return t.raw[:at] + string(sig)
}

func (r *Report) judgeVerifier(v VerifierReport) {
	switch status := v.guard.status; {
	case strings.HasPrefix(v.Guard, "no answer"):
		r.find(Warning, "verifier-unreachable", v.Name, "see that the address is right and that this machine may reach it", "%s", v.Guard)
		return
	case status/100 == 2:
		r.find(Warning, "verifier-open", v.Name, "name a URL that wants a token", "without a token it answers %s, so accepting one proves nothing", v.Guard)
		return
	case status/100 == 3:
		r.find(Warning, "verifier-redirects", v.Name, "name a URL of its API, which answers 401, not a page that sends people to a login", "without a token it answers %s, to %s", v.Guard, v.guard.away)
		return
	case status >= 500:
		r.find(Warning, "verifier-failing", v.Name, "look into its log: it fails before it looks at a token", "without a token it answers %s", v.Guard)
		return
	case status != http.StatusUnauthorized && status != http.StatusForbidden:
		r.find(Warning, "verifier-unclear", v.Name, "name a URL that answers a GET with 401 when there is no token", "without a token it answers %s", v.Guard)
		return
	}
	if v.blind {
		r.find(Error, "verifier-takes-forgeries", v.Name, "have it verify signatures: it takes the claims of anybody", "it lets a token in whose signature was changed")
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
