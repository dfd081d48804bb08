package contest

import (
	"context"
	"fmt"
	"time"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/protocol"
)

// verifier is whoever is asked: a process of ours, or anybody's server.
type verifier interface {
	Verify(context.Context, protocol.Question) (protocol.Answer, time.Duration, error)
	Advance(context.Context, time.Duration) (bool, error)
}

// world is one issuer, one verifier and their time.
type world struct {
	ctx     context.Context
	iss     *issuer.Issuer
	who     verifier
	keys    *issuer.Keys
	virtual bool
	fast    bool

	clock  time.Time // when time is virtual
	tally  Tally
	tokens map[issuer.Key]minted
}

// minted is a token that its bearer goes on using for a while.
type minted struct {
	token string
	at    time.Time
}

const usedFor = 20 * time.Second

// Tally counts what a verifier did against what it had to do.
type Tally struct {
	Asked           int           `json:"asked"`
	WronglyRefused  int           `json:"wrongly_refused"`
	WronglyAccepted int           `json:"wrongly_accepted"`
	Fetches         int           `json:"fetches"`
	Longest         time.Duration `json:"longest_ns"` // of one request
	FirstWrong      string        `json:"first_wrong,omitempty"`
}

func (w *world) now() time.Time {
	if w.virtual {
		return w.clock
	}
	return time.Now()
}

// pass lets time pass for the verifier and its issuer.
func (w *world) pass(d time.Duration) error {
	if !w.virtual {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-timer.C:
			return nil
		}
	}
	if _, err := w.who.Advance(w.ctx, d); err != nil {
		return err
	}
	w.clock = w.clock.Add(d)
	return nil
}

// key names one of the run's RSA keys.
func (w *world) key(n int, id string) (issuer.Key, error) { return w.keys.RSA(n, id) }

// ask presents a token and returns whether it was accepted.
func (w *world) ask(token string) (bool, string, time.Duration, error) {
	a, took, err := w.who.Verify(w.ctx, w.question(token))
	w.clock = w.clock.Add(time.Duration(a.VirtualMS * float64(time.Millisecond)))
	return a.Accepted == 1, a.Error, took, err
}

func (w *world) question(token string) protocol.Question {
	return protocol.Question{Issuer: w.iss.URL, JWKS: w.iss.JWKS(), Audience: issuer.Audience, Token: token}
}

// present shows the verifier an ordinary token of a key and judges what it does.
func (w *world) present(k issuer.Key) (accepted bool, err error) {
	token, err := w.token(k)
	if err != nil {
		return false, err
	}
	duty := w.iss.Judge(k)
	accepted, why, took, err := w.ask(token)
	if err != nil {
		return false, err
	}
	w.count(duty, accepted, took, fmt.Sprintf("kid %s: %s", k.ID, why))
	return accepted, nil
}

func (w *world) token(k issuer.Key) (string, error) {
	if m, ok := w.tokens[k]; ok && w.now().Sub(m.at) < usedFor {
		return m.token, nil
	}
	token, err := k.Token(issuer.Claims(w.iss.URL, issuer.Audience, w.now()), nil)
	if err != nil {
		return "", err
	}
	if w.tokens == nil {
		w.tokens = map[issuer.Key]minted{}
	}
	w.tokens[k] = minted{token, w.now()}
	return token, nil
}

// junk shows it a token whose key does not exist.
func (w *world) junk(kid string) error {
	token, err := issuer.Junk(kid, issuer.Claims(w.iss.URL, issuer.Audience, w.now()))
	if err != nil {
		return err
	}
	accepted, _, took, err := w.ask(token)
	if err != nil {
		return err
	}
	w.count(issuer.Refuse, accepted, took, "kid "+kid+" does not exist")
	return nil
}

func (w *world) count(duty issuer.Duty, accepted bool, took time.Duration, what string) {
	t := &w.tally
	t.Asked++
	t.Longest = max(t.Longest, took)
	wrong := ""
	switch {
	case duty == issuer.Accept && !accepted:
		t.WronglyRefused++
		wrong = "refused"
	case duty == issuer.Refuse && accepted:
		t.WronglyAccepted++
		wrong = "accepted"
	}
	if wrong != "" && t.FirstWrong == "" {
		t.FirstWrong = wrong + " " + what
	}
}

// warm gets the verifier going with a first token, which does not count.
func (w *world) warm(k issuer.Key) error {
	w.iss.Publish(k)
	accepted, err := w.present(k)
	if err != nil {
		return err
	}
	if !accepted {
		return fmt.Errorf("it refused the first ordinary token: %s", w.tally.FirstWrong)
	}
	w.tally = Tally{}
	return nil
}

// traffic presents a token of each key every so often, for so long.
func (w *world) traffic(every, during time.Duration, keys ...issuer.Key) error {
	for passed := time.Duration(0); passed < during; passed += every {
		for _, k := range keys {
			if _, err := w.present(k); err != nil {
				return err
			}
		}
		if err := w.pass(every); err != nil {
			return err
		}
	}
	return nil
}

// afterwards is a minute of traffic at a token a second, then a token each ten
// seconds (each minute in a fast run) until that long has passed.
func (w *world) afterwards(during time.Duration, keys ...issuer.Key) error {
	if err := w.traffic(time.Second, min(time.Minute, during), keys...); err != nil {
		return err
	}
	every := 10 * time.Second
	if w.fast {
		every = time.Minute
	}
	return w.traffic(every, during-time.Minute, keys...)
}
