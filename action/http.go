package action

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"prunella"
)

const bodyShown = 64 << 10 // bytes of an answer that a result or output holds

func httpOperations() []operation {
	return []operation{
		{
			spec: read("http.get", "Fetch a URL (https, or http on loopback); redirects to another host are not followed.",
				[]prunella.ParamSpec{need("url", "text", "address"), may("header", "any", "map of request headers"), may("timeout", "duration", "default 5s")},
				"known: it answered", "status: HTTP status, 0 without an answer", "body: up to 64 KiB of it", "json: the body as a value when it is JSON, else null"),
			read: (*World).httpGet,
		},
		{
			spec: does("http.request", prunella.Irreversible, "Send a request that may change something; fails on any status but 2xx. The step's key is sent as Idempotency-Key.",
				need("method", "text", "POST, PUT, PATCH or DELETE"), need("url", "text", "address (https, or http on loopback)"),
				may("header", "any", "map of request headers"), may("body", "any", "a text sent as it is, or a value sent as JSON")),
			do: (*World).httpRequest,
		},
	}
}

func (w *World) httpGet(ctx context.Context, p params, _ Incident) (map[string]any, error) {
	header, err := p.texts("http.get", "header")
	if err != nil {
		return nil, err
	}
	if _, err := safeURL(p.text("url")); err != nil {
		return nil, err
	}
	a, err := w.exchange(ctx, call{method: http.MethodGet, url: p.text("url"), header: header}, p.duration("timeout", w.opt.Timeout))
	if err != nil {
		return map[string]any{"known": false, "status": 0, "body": "", "json": nil, "reason": err.Error()}, nil
	}
	var value any
	if a.truncated || json.Unmarshal(a.body, &value) != nil {
		value = nil
	}
	return map[string]any{"known": true, "status": a.status, "body": bounded(a.body), "json": value}, nil
}

func (w *World) httpRequest(ctx context.Context, key string, p params) (string, error) {
	header, err := p.texts("http.request", "header")
	if err != nil {
		return "", err
	}
	method := strings.ToUpper(p.text("method"))
	if !slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method) {
		return "", &prunella.Error{Kind: prunella.Invalid, Where: "method", Reason: quote(p.text("method")) + " does not change anything", Remedy: "write POST, PUT, PATCH or DELETE; http.get reads"}
	}
	start := time.Now()
	c := call{method: method, url: p.text("url"), key: key, header: header, body: p["body"]}
	a, err := w.exchange(ctx, c, 0)
	if err != nil {
		return "", err
	}
	if a.status < 200 || a.status > 299 {
		return "", a.refusal(c.url, true)
	}
	return fmt.Sprintf("%d in %s: %s", a.status, time.Since(start).Round(time.Millisecond), shorten(string(a.body), 500)), nil
}

// bounded is a text of at most bodyShown bytes, and says when it was cut.
func bounded(b []byte) string {
	if len(b) <= bodyShown {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return strings.ToValidUTF8(string(b[:bodyShown]), "\uFFFD") + "\n[cut after 64 KiB]"
}
