package contest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"prunella/bench/rotation/issuer"
)

// Row is one story of the tournament.
type Row struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Holds string `json:"holds"` // what must hold, besides that no token is wrongly refused or accepted
	tell  func(*world, *findings) error
}

// findings are what a row saw besides the tokens.
type findings struct {
	notes  []string
	broken []string
	memory func() int64 // peak of the verifier's process; 0 is unknown
}

func (f *findings) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

func (f *findings) mustHold(ok bool, format string, args ...any) {
	if !ok {
		f.broken = append(f.broken, fmt.Sprintf(format, args...))
	}
}

const (
	floodFetches = 2        // a minute, that junk may cause
	herd         = 200      // verifiers
	herdWindow   = 5        // seconds
	herdShare    = herd / 4 // of them may fetch in that window
	herdCapacity = 50       // fetches a second that the issuer answers
	giant        = 100 << 20
	giantMemory  = 64 << 20 // that a document may cost before it is refused
)

// Rows are the stories in the order of the table.
func Rows() []Row {
	return []Row{
		{"new-kid", "new kid right after rotation", "", newKid},
		{"two-rotations", "two rotations in a minute", "", twoRotations},
		{"revoke", "rotate and revoke", "", revoke},
		{"revoke-unseen", "revoke; nobody uses the new key", "", revokeUnseen},
		{"flood", "flood of junk kids, then a real rotation", fmt.Sprintf("junk causes at most %d fetches a minute", floodFetches), flood},
		{"down-minute", "JWKS down for a minute", "", downMinute},
		{"down-hour", "JWKS down for an hour", "", downHour},
		{"same-kid", "same kid, new material", "", sameKid},
		{"herd", fmt.Sprintf("herd of %d at one expiry", herd),
			fmt.Sprintf("no more than %d of %d fetch within %d s", herdShare, herd, herdWindow), herdAtExpiry},
		{"redirect", "redirect to another host", "", redirect},
		{"giant", "a 100 MB document", fmt.Sprintf("the process grows by less than %d MB", giantMemory>>20), giantDocument},
	}
}

// ordinary is the beginning of most rows: key a in use, ten seconds ago fetched.
func ordinary(w *world) (a, b, c issuer.Key, err error) {
	keys := make([]issuer.Key, 3)
	for n, id := range []string{"key-a", "key-b", "key-c"} {
		if keys[n], err = w.key(n, id); err != nil {
			return a, b, c, err
		}
	}
	a, b, c = keys[0], keys[1], keys[2]
	if err = w.warm(a); err == nil {
		err = w.pass(10 * time.Second)
	}
	return a, b, c, err
}

// forged is a key of somebody else under a name of the issuer's.
func (w *world) forged(id string) (issuer.Key, error) { return w.key(3, id) }

func newKid(w *world, _ *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	forger, err := w.forged(a.ID)
	if err != nil {
		return err
	}
	w.iss.Publish(a, b)
	if err := w.afterwards(20*time.Minute, b, a); err != nil {
		return err
	}
	_, err = w.present(forger)
	return err
}

func twoRotations(w *world, _ *findings) error {
	a, b, c, err := ordinary(w)
	if err != nil {
		return err
	}
	w.iss.Publish(a, b)
	if err := w.traffic(time.Second, 25*time.Second, b); err != nil {
		return err
	}
	w.iss.Publish(b, c)
	return w.afterwards(20*time.Minute, c, b)
}

const revokedFor = 90 * time.Minute

func revoke(w *world, f *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	return revoked(w, f, a, b, b)
}

func revokeUnseen(w *world, f *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	return revoked(w, f, a, b)
}

// revoked puts b in the place of a, goes on presenting a, and says how long it
// was accepted.
func revoked(w *world, f *findings, a, b issuer.Key, others ...issuer.Key) error {
	w.iss.Publish(b)
	at := w.now()
	last, ever := at, false
	for w.now().Sub(at) < revokedFor {
		for _, k := range others {
			if _, err := w.present(k); err != nil {
				return err
			}
		}
		accepted, err := w.present(a)
		if err != nil {
			return err
		}
		if accepted {
			last, ever = w.now(), true
		}
		step := 10 * time.Second
		switch {
		case w.now().Sub(at) < time.Minute:
			step = time.Second
		case w.fast:
			step = time.Minute
		}
		if err := w.pass(step); err != nil {
			return err
		}
	}
	switch after := last.Sub(at); {
	case !ever:
		f.note("refused at once")
	case after > revokedFor-time.Minute:
		f.note("never refused in %s", short(revokedFor))
	default:
		f.note("refused after %s", short(after))
	}
	return nil
}

// flood is ten tokens of unknown kid a second on average, for three minutes (one
// in a fast run), among ordinary traffic: a third of it even, a third at random,
// a third in bursts, some of whose kids come again, with pauses of 0.8 s as in a
// process that was held up. Then three seconds of silence, and a rotation. It is
// the same flood for everybody.
func flood(w *world, f *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	length := 180 * time.Second
	if w.fast {
		length = 60 * time.Second
	}
	const usual = 100 * time.Millisecond
	chance := rand.New(rand.NewPCG(1, 2))
	began := w.now()
	sent := 0
	for third := range 3 {
		for n := 0; w.now().Sub(began) < length*time.Duration(third+1)/3; n++ {
			kid, wait := fmt.Sprintf("junk-%d", sent), usual
			switch {
			case third == 1:
				wait = time.Duration(chance.ExpFloat64() * float64(usual))
			case third == 2 && n%9 < 8: // a burst
				wait = usual / 8
				if n%3 == 0 {
					kid = fmt.Sprintf("again-%d", n%27)
				}
			case third == 2:
				wait = 8 * usual
			}
			if err := w.junk(kid); err != nil {
				return err
			}
			if sent++; sent%10 == 0 {
				if _, err := w.present(a); err != nil {
					return err
				}
			}
			if err := w.pass(wait); err != nil {
				return err
			}
		}
	}
	caused := issuer.Busiest(w.iss.Fetches(began), time.Minute)
	f.note("%d junk, at most %d fetches a minute", sent, caused)
	f.mustHold(caused <= floodFetches, "junk caused %d fetches in a minute", caused)
	if err := w.pass(3 * time.Second); err != nil {
		return err
	}
	w.iss.Publish(a, b)
	return w.afterwards(10*time.Minute, b, a)
}

// downMinute cuts every connection for a minute, just when a set of ten minutes
// is to be fetched again; then the issuer comes back and rotates.
func downMinute(w *world, _ *findings) error {
	return down(w, issuer.Trouble{Cut: true}, time.Minute, time.Second)
}

// downHour answers 503 for an hour.
func downHour(w *world, _ *findings) error {
	every := 10 * time.Second
	if w.fast {
		every = 30 * time.Second
	}
	return down(w, issuer.Trouble{Status: http.StatusServiceUnavailable}, time.Hour, every)
}

func down(w *world, t issuer.Trouble, during, every time.Duration) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	if err := w.traffic(10*time.Second, 7*time.Minute, a); err != nil {
		return err
	}
	// Until the moment before a set of ten minutes is to be fetched again.
	if err := w.traffic(time.Second, 2*time.Minute+30*time.Second, a); err != nil {
		return err
	}
	w.iss.Suffer(t)
	if err := w.traffic(every, during, a); err != nil {
		return err
	}
	w.iss.Suffer(issuer.Trouble{})
	if err := w.pass(every); err != nil {
		return err
	}
	w.iss.Publish(a, b)
	return w.afterwards(5*time.Minute, b, a)
}

func sameKid(w *world, f *findings) error {
	a, _, _, err := ordinary(w)
	if err != nil {
		return err
	}
	renewed, err := w.key(1, a.ID)
	if err != nil {
		return err
	}
	return revoked(w, f, a, renewed, renewed)
}

// herdAtExpiry starts verifiers at the same moment and looks, for an hour and
// two minutes, at how many ask again at once. The issuer cannot answer them
// all. Every twenty seconds (every two and a half minutes in a fast run) each
// verifier gets a token, all at once: a busy service meets its expiry at once.
func herdAtExpiry(w *world, f *findings) error {
	a, err := w.key(0, "key-a")
	if err != nil {
		return err
	}
	w.iss.Publish(a)
	ask := func() error {
		token, err := a.Token(issuer.Claims(w.iss.URL, issuer.Audience, w.now()), nil)
		if err != nil {
			return err
		}
		q := w.question(token)
		q.Instances = herd
		got, took, err := w.who.Verify(w.ctx, q)
		if err != nil {
			return err
		}
		w.clock = w.clock.Add(time.Duration(got.VirtualMS * float64(time.Millisecond)))
		took /= herd // they were asked one after the other
		for n := range herd {
			w.count(issuer.Accept, n < got.Accepted, took, got.Error)
		}
		return nil
	}
	if err := ask(); err != nil {
		return err
	}
	w.tally = Tally{}
	if err := w.pass(time.Minute); err != nil {
		return err
	}
	w.iss.Suffer(issuer.Trouble{Limit: herdCapacity})
	began := w.now()
	step := 20 * time.Second
	if w.fast {
		step = 150 * time.Second
	}
	for w.now().Sub(began) < 62*time.Minute {
		if err := ask(); err != nil {
			return err
		}
		if err := w.pass(step); err != nil {
			return err
		}
	}
	most := issuer.Busiest(w.iss.Fetches(began), herdWindow*time.Second)
	f.note("%d of %d fetch within %d s", most, herd, herdWindow)
	f.mustHold(most <= herdShare, "%d of %d fetched within %d s", most, herd, herdWindow)
	return nil
}

// redirect sends whoever asks to another host, which serves the issuer's key
// and one of its own. One open redirect at the issuer is enough for that.
func redirect(w *world, _ *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	foreign, err := w.forged("key-of-the-other-host")
	if err != nil {
		return err
	}
	w.iss.Suffer(issuer.Trouble{Redirect: w.iss.Elsewhere(a, foreign)})
	if err := w.afterwards(75*time.Minute, a, foreign); err != nil {
		return err
	}
	w.iss.Suffer(issuer.Trouble{})
	w.iss.Publish(a, b)
	if err := w.pass(2 * time.Minute); err != nil {
		return err
	}
	return w.traffic(time.Second, 10*time.Second, b, a)
}

// giantDocument answers with a key set of a hundred megabytes, most of it a
// member that means nothing.
func giantDocument(w *world, f *findings) error {
	a, b, _, err := ordinary(w)
	if err != nil {
		return err
	}
	before := f.memory()
	body := string(issuer.Document(a))
	padding := strings.Repeat("a", 1<<20)
	w.iss.Suffer(issuer.Trouble{Answer: func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(rw, strings.TrimSuffix(body, "}"), `,"padding":"`) // each write may fail: it has read enough
		for range giant >> 20 {
			if _, err := fmt.Fprint(rw, padding); err != nil {
				return true
			}
		}
		_, _ = fmt.Fprint(rw, `"}`)
		return true
	}})
	for range 3 {
		if _, err := w.present(b); err != nil { // not published yet: makes some ask
			return err
		}
		if err := w.traffic(time.Second, 10*time.Second, a); err != nil {
			return err
		}
	}
	during := 31 * time.Minute
	if w.fast {
		during = 11 * time.Minute
	}
	if err := w.afterwards(during, a); err != nil {
		return err
	}
	if before > 0 {
		grown := f.memory() - before
		f.note("%d MB more memory", grown>>20)
		f.mustHold(grown < giantMemory, "the document cost %d MB of memory", grown>>20)
	}
	return nil
}

func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d%time.Minute == 0 || d > 20*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}
