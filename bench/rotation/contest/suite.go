package contest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/protocol"
)

// Level is how much a case weighs, as RFC 2119 says it.
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Case is one thing that a JWKS client must do.
type Case struct {
	ID    string `json:"id"`
	Level Level  `json:"level"`
	Holds string `json:"holds"`
	Why   string `json:"why"`

	takes time.Duration // that must pass for the client, about
	tell  func(*trial) error
}

// Outcome is what became of a case.
type Outcome struct {
	Case
	Result string `json:"result"` // pass, fail or not measured
	Detail string `json:"detail,omitempty"`
}

// The results.
const (
	Pass        = "pass"
	Fail        = "fail"
	NotMeasured = "not measured"
)

// Suite says how to run the cases.
type Suite struct {
	Listen    string        // of the issuer
	OneIssuer bool          // the client knows one issuer, /issuer, and no other
	Patience  time.Duration // longer cases are not measured with a client in real time
	Fast      bool
	Progress  func(string)
}

// Conform puts a client through every case.
func (s Suite) Conform(ctx context.Context, client string) ([]Outcome, error) {
	hub, err := issuer.NewHub(s.Listen)
	if err != nil {
		return nil, err
	}
	defer hub.Close()
	caller := protocol.NewCaller(client)
	defer caller.Close()
	virtual, err := caller.Advance(ctx, 0)
	if err != nil {
		return nil, err
	}
	keys := &issuer.Keys{}
	clock := protocol.Epoch
	var all []Outcome
	for _, c := range Cases() {
		o := Outcome{Case: c, Result: NotMeasured, Detail: fmt.Sprintf("takes %s, and the client has no virtual time (--patience)", short(c.takes))}
		if virtual || c.takes <= s.Patience {
			t := &trial{id: c.ID, known: s.OneIssuer, world: world{ctx: ctx, who: caller, keys: keys, virtual: virtual, fast: s.Fast, clock: clock}}
			name := "case-" + c.ID
			if s.OneIssuer {
				name = "issuer"
			}
			t.iss = hub.New(name, t.now)
			err := c.tell(t)
			clock = t.clock
			if err := ctx.Err(); err != nil {
				return all, err
			}
			var failed failure
			switch {
			case errors.As(err, &failed):
				o.Result, o.Detail = Fail, string(failed)
			case err != nil:
				o.Result, o.Detail = Fail, err.Error()
			default:
				o.Result, o.Detail = Pass, ""
			}
		}
		s.Progress(fmt.Sprintf("%-22s %-6s %s %s", c.ID, c.Level, o.Result, o.Detail))
		all = append(all, o)
	}
	return all, nil
}

// trial is one case under way.
type trial struct {
	world
	id    string
	known bool // the client may have known this issuer before
}

// failure says what a client did that it must not do.
type failure string

func (f failure) Error() string { return string(f) }

func failed(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// named is a key whose name no other case uses.
func (t *trial) named(n int, name string) (issuer.Key, error) { return t.key(n, t.id+"-"+name) }

const warmTries = 90 // seconds that a client which knows one issuer may take to notice the next case's key

// begin publishes key a and gets the client going with it.
func (t *trial) begin() (a, b issuer.Key, err error) {
	if a, err = t.named(0, "a"); err != nil {
		return a, b, err
	}
	if b, err = t.named(1, "b"); err != nil {
		return a, b, err
	}
	t.iss.Publish(a)
	if why, err := t.warm(a); err != nil || why != "" {
		return a, b, cmp.Or(err, failed("refuses the first ordinary token: %s", why))
	}
	return a, b, t.pass(time.Second)
}

// warm shows ordinary tokens of a published key until the client takes one. A
// client that meets the issuer in this case has no reason to refuse the first;
// one that has known it for longer may need some time to look again. It returns
// why none was taken, "" when one was.
func (t *trial) warm(k issuer.Key) (why string, err error) {
	for try := 0; ; try++ {
		ok, why, _, err := t.show(k, nil, nil)
		if err != nil || ok {
			return "", err
		}
		if try == warmTries || !t.known && try == 1 {
			return cmp.Or(why, "no reason given"), nil
		}
		if err := t.pass(time.Second); err != nil {
			return "", err
		}
	}
}

// show presents a token with some claims and header members changed.
func (t *trial) show(k issuer.Key, claims, header map[string]any) (bool, string, time.Duration, error) {
	all := issuer.Claims(t.iss.URL, issuer.Audience, t.now())
	for name, value := range claims {
		if value == nil {
			delete(all, name)
			continue
		}
		all[name] = value
	}
	token, err := k.Token(all, header)
	if err != nil {
		return false, "", 0, err
	}
	return t.ask(token)
}

// accepts fails the case when an ordinary token of k is refused, or when the
// answer takes longer than a request should wait.
func (t *trial) accepts(k issuer.Key, when string) error {
	ok, why, took, err := t.show(k, nil, nil)
	switch {
	case err != nil:
		return err
	case !ok:
		return failed("refuses a good token %s: %s", when, why)
	case took > longWait:
		return failed("takes %s for a good token %s", took.Round(time.Millisecond), when)
	}
	return nil
}

const longWait = 3 * time.Second

// refuses fails the case when a token is accepted.
func (t *trial) refuses(token, what string) error {
	ok, _, _, err := t.ask(token)
	if err == nil && ok {
		return failed("accepts %s", what)
	}
	return err
}

// judged fails the case when the oracle disagrees with what was done.
func (t *trial) judged(tell func() error) error {
	t.tally = Tally{}
	if err := tell(); err != nil {
		return err
	}
	if t.tally.WronglyRefused+t.tally.WronglyAccepted > 0 {
		return failed("%d of %d tokens wrongly refused, %d wrongly accepted; the first: %s",
			t.tally.WronglyRefused, t.tally.Asked, t.tally.WronglyAccepted, t.tally.FirstWrong)
	}
	return nil
}
