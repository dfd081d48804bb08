package prunella

import (
	"fmt"
	"runtime/debug"
)

// Panic is a panic that was caught: a fault of our own, whatever the input was.
type Panic struct {
	In    string // which part of the program: "monitor jwks/auth"
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic in %s: %v", p.In, p.Value) }

// Caught is told of each panic that is caught; nil tells nobody.
type Caught func(*Panic)

// Contain calls work and returns its panic as a *Panic, so that one thing that
// the code was not written for does not take all the others with it.
func (c Caught) Contain(in string, work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := &Panic{In: in, Value: v, Stack: debug.Stack()}
			if c != nil {
				c(p)
			}
			err = p
		}
	}()
	return work()
}
