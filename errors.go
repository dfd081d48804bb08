package prunella

import (
	"errors"
	"fmt"
)

// Kind is the closed set of ways in which an operation can fail. Each edge (the
// HTTP API, the command line, a monitor) maps a Kind once to its own language.
type Kind string

const (
	Invalid      Kind = "invalid"      // the input is wrong; repeating it will not help
	Unauthorized Kind = "unauthorized" // who asks is not known or not allowed
	NotFound     Kind = "not-found"
	Conflict     Kind = "conflict"    // somebody else changed it first
	TooLarge     Kind = "too-large"   // over a stated limit
	Unavailable  Kind = "unavailable" // try again later
	Internal     Kind = "internal"    // our fault
)

// Error is an error with a Kind, a sentence, and what to do next.
type Error struct {
	Kind   Kind
	Op     string // what was being done: "open store"
	Where  string // file:line, URL or field, when there is one
	Reason string // what is wrong, as a sentence without a full stop
	Remedy string // the next step, as a sentence; may be empty
	Err    error
}

func (e *Error) Error() string {
	s := e.Reason
	if s == "" && e.Err != nil {
		s = e.Err.Error()
	} else if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	if e.Where != "" {
		s = e.Where + ": " + s
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first *Error in err's chain, Internal when
// there is none, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Errorf builds an *Error; a %w verb is kept as its cause.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}
