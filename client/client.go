package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// requestTimeout bounds one request whose context has no deadline of its own.
const requestTimeout = 30 * time.Second

// Client speaks to one Prunella server. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New returns a client for a server's base URL, "http://127.0.0.1:7070". A URL
// that cannot be used is reported by the first call, as prunella.Invalid.
func New(baseURL string) *Client {
	return &Client{base: strings.TrimRight(baseURL, "/"), http: &http.Client{}}
}

// Status returns who serves and how healthy intake is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/api/v1/status", nil)
}

// Ready returns nil when the server can take in and work on signals.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, http.MethodGet, "/readyz", nil, nil, nil)
}

// Incidents returns the incidents that q selects, newest first.
func (c *Client) Incidents(ctx context.Context, q IncidentQuery) ([]prunella.Incident, error) {
	v := url.Values{}
	for _, s := range q.States {
		v.Add("state", string(s))
	}
	if q.Open {
		v.Set("open", "true")
	}
	setInt(v, "limit", q.Limit)
	out, err := get[Incidents](ctx, c, "/api/v1/incidents", v)
	return out.Incidents, err
}

// Incident returns everything about one incident; NotFound when there is none.
func (c *Client) Incident(ctx context.Context, id prunella.IncidentID) (IncidentView, error) {
	return get[IncidentView](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id)), nil)
}

// Signals returns a page of an incident's signals, newest first; a limit of 0
// is the server's default, 100.
func (c *Client) Signals(ctx context.Context, id prunella.IncidentID, limit, offset int) (SignalPage, error) {
	v := url.Values{}
	setInt(v, "limit", limit)
	setInt(v, "offset", offset)
	return get[SignalPage](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id))+"/signals", v)
}

// Series returns stored points, oldest first.
func (c *Client) Series(ctx context.Context, q SeriesQuery) ([]prunella.SeriesPoint, error) {
	v := url.Values{}
	setText(v, "name", q.Name)
	setText(v, "service", q.Service)
	setTime(v, "from", q.From)
	setTime(v, "to", q.To)
	out, err := get[Series](ctx, c, "/api/v1/series", v)
	return out.Points, err
}

// Graph returns the service graph.
func (c *Client) Graph(ctx context.Context) (Graph, error) {
	return get[Graph](ctx, c, "/api/v1/graph", nil)
}

// Keys returns who trusts which key.
func (c *Client) Keys(ctx context.Context) (KeyBoard, error) {
	return get[KeyBoard](ctx, c, "/api/v1/keys", nil)
}

// Skills returns every skill.
func (c *Client) Skills(ctx context.Context) ([]SkillView, error) {
	out, err := get[Skills](ctx, c, "/api/v1/skills", nil)
	return out.Skills, err
}

// Skill returns one skill with its text and evidence.
func (c *Client) Skill(ctx context.Context, name prunella.SkillName) (SkillView, error) {
	return get[SkillView](ctx, c, "/api/v1/skills/"+url.PathEscape(string(name)), nil)
}

// Decide answers an approval; Conflict when it was decided before, has expired,
// or when d.Hash is not the hash of what would run.
func (c *Client) Decide(ctx context.Context, approval string, d Decision) (prunella.Approval, error) {
	return post[prunella.Approval](ctx, c, "/api/v1/approvals/"+url.PathEscape(approval), d)
}

// Resolve closes an incident by a person's word.
func (c *Client) Resolve(ctx context.Context, id prunella.IncidentID, n Note) (prunella.Incident, error) {
	return post[prunella.Incident](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id))+"/resolve", n)
}

// HandBack gives an escalated incident back to the engine.
func (c *Client) HandBack(ctx context.Context, id prunella.IncidentID, n Note) (prunella.Incident, error) {
	return post[prunella.Incident](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id))+"/handback", n)
}

// Escalate takes an incident from the engine.
func (c *Client) Escalate(ctx context.Context, id prunella.IncidentID, n Note) (prunella.Incident, error) {
	return post[prunella.Incident](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id))+"/escalate", n)
}

// Reports returns the latest scenario reports, newest first; a limit of 0 is
// the server's default, 100.
func (c *Client) Reports(ctx context.Context, limit int) ([]prunella.Report, error) {
	v := url.Values{}
	setInt(v, "limit", limit)
	out, err := get[Reports](ctx, c, "/api/v1/reports", v)
	return out.Reports, err
}

// Report returns one scenario report.
func (c *Client) Report(ctx context.Context, id string) (prunella.Report, error) {
	return get[prunella.Report](ctx, c, "/api/v1/reports/"+url.PathEscape(id), nil)
}

// PutReport stores a report so that the server can show it.
func (c *Client) PutReport(ctx context.Context, r prunella.Report) error {
	return c.do(ctx, http.MethodPost, "/api/v1/reports", nil, r, nil)
}

// SendSignals hands signals in; nil means that they are durable. Unavailable
// means that nothing was stored and that sending them again is right.
func (c *Client) SendSignals(ctx context.Context, signals []prunella.Signal) error {
	return c.do(ctx, http.MethodPost, "/api/v1/signals", nil, Signals{Signals: signals}, nil)
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var out T
	err := c.do(ctx, http.MethodGet, path, query, nil, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	var out T
	err := c.do(ctx, http.MethodPost, path, nil, body, &out)
	return out, err
}

// do sends body as JSON when it is not nil, and reads the answer into out when
// that is not nil.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return &prunella.Error{Kind: prunella.Internal, Op: method + " " + path, Where: c.base,
			Reason: "the answer is not the JSON expected", Remedy: "Check that the address is a Prunella server of this version", Err: err}
	}
	return nil
}

// send returns a 2xx answer, whose body the caller closes, or an error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", path, err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil || req.URL.Host == "" {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: method + " " + path, Where: c.base,
			Reason: "this is not a server's address", Remedy: "Write it like http://127.0.0.1:7070", Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var asked *url.Error // says once more what was asked
		if errors.As(err, &asked) {
			err = asked.Err
		}
		return nil, &prunella.Error{Kind: prunella.Unavailable, Op: method + " " + path, Where: c.base,
			Reason: "the server does not answer", Remedy: "Start it with: prunella serve", Err: err}
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readProblem(resp, method+" "+path)
}

func readProblem(resp *http.Response, op string) error {
	p := Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == ProblemType {
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil {
			return &prunella.Error{Kind: kindOf(resp.StatusCode), Op: op, Reason: resp.Status, Err: err}
		}
	}
	if p.Op == "" {
		p.Op = op
	}
	return p.Err()
}

func setInt(v url.Values, key string, n int) {
	if n != 0 {
		v.Set(key, strconv.Itoa(n))
	}
}

func setText(v url.Values, key, s string) {
	if s != "" {
		v.Set(key, s)
	}
}

func setTime(v url.Values, key string, t time.Time) {
	if !t.IsZero() {
		v.Set(key, t.UTC().Format(time.RFC3339Nano))
	}
}
