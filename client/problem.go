package client

import (
	"errors"
	"fmt"
	"net/http"

	"prunella"
)

// ProblemType is the media type of every error answer.
const ProblemType = "application/problem+json"

// Problem is an RFC 9457 problem document with our extensions kind, op, where
// and remedy.
type Problem struct {
	Type   string        `json:"type"`  // "about:blank": Title says what Status means
	Title  string        `json:"title"` // of the status
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Kind   prunella.Kind `json:"kind"`
	Op     string        `json:"op,omitempty"`
	Where  string        `json:"where,omitempty"`
	Remedy string        `json:"remedy,omitempty"`
}

var statusOf = map[prunella.Kind]int{
	prunella.Invalid:      http.StatusBadRequest,
	prunella.Unauthorized: http.StatusUnauthorized,
	prunella.NotFound:     http.StatusNotFound,
	prunella.Conflict:     http.StatusConflict,
	prunella.TooLarge:     http.StatusRequestEntityTooLarge,
	prunella.Unavailable:  http.StatusServiceUnavailable,
	prunella.Internal:     http.StatusInternalServerError,
}

// ProblemOf describes err for the wire. An error without a Kind is Internal,
// and its text stays on this side: the caller logs it.
func ProblemOf(err error) Problem {
	kind := prunella.KindOf(err)
	p := Problem{Type: "about:blank", Kind: kind, Status: statusOf[kind]}
	if p.Status == 0 {
		p.Status = http.StatusInternalServerError
	}
	p.Title = http.StatusText(p.Status)
	var e *prunella.Error
	if !errors.As(err, &e) {
		p.Detail = "Prunella could not answer"
		p.Remedy = "Try again; the server's log says what happened"
		return p
	}
	p.Op, p.Where, p.Remedy = e.Op, e.Where, e.Remedy
	switch {
	case e.Reason != "" && e.Err != nil && kind != prunella.Internal:
		p.Detail = fmt.Sprintf("%s: %v", e.Reason, e.Err)
	case e.Reason != "":
		p.Detail = e.Reason
	case e.Err != nil:
		p.Detail = e.Err.Error()
	}
	return p
}

// Err is the error that the problem describes.
func (p Problem) Err() error {
	kind := p.Kind
	if statusOf[kind] == 0 {
		kind = kindOf(p.Status)
	}
	reason := p.Detail
	if reason == "" {
		reason = p.Title
	}
	return &prunella.Error{Kind: kind, Op: p.Op, Where: p.Where, Reason: reason, Remedy: p.Remedy}
}

// kindOf serves answers that are not ours: a proxy's, an older server's.
func kindOf(status int) prunella.Kind {
	for kind, s := range statusOf {
		if s == status {
			return kind
		}
	}
	switch {
	case status == http.StatusForbidden:
		return prunella.Unauthorized
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return prunella.Unavailable
	case status < 500:
		return prunella.Invalid
	}
	return prunella.Internal
}
