package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"prunella/bench/rotation/issuer"
)

func key(t *testing.T, id string) issuer.Key {
	t.Helper()
	k, err := issuer.NewKey(id, "EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestJudge walks an issuer through its history and holds the oracle to it.
func TestJudge(t *testing.T) {
	hub, err := issuer.NewHub("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	iss := hub.New("a", func() time.Time { return now })
	a, b, c := key(t, "a"), key(t, "b"), key(t, "c")
	renewed := key(t, "a")
	check := func(when string, k issuer.Key, want issuer.Duty) {
		t.Helper()
		if got := iss.Judge(k); got != want {
			t.Errorf("%s: the token of %s is to %s, want %s", when, k.ID, got, want)
		}
	}
	iss.Publish(a)
	check("published", a, issuer.Accept)
	check("never published", b, issuer.Refuse)
	check("other material under a's name", renewed, issuer.Refuse)

	iss.Publish(b)
	check("removed just now", a, issuer.Either)
	now = now.Add(issuer.MaxAge + issuer.Grace)
	check("removed for as long as it may be used", a, issuer.Either)
	now = now.Add(time.Second)
	check("removed for longer", a, issuer.Refuse)

	iss.Suffer(issuer.Trouble{Status: http.StatusServiceUnavailable})
	iss.Publish(c)
	check("replaced while nobody can know", b, issuer.Accept)
	check("published while nobody can know", c, issuer.Either)
	iss.Suffer(issuer.Trouble{})
	check("now everybody can", c, issuer.Accept)
	check("removed", b, issuer.Either)

	iss.Publish(renewed)
	check("renewed", renewed, issuer.Accept)
	check("the material before", a, issuer.Refuse)
}

func TestBusiest(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }
	events := []time.Time{at(9), at(0), at(1), at(1.5), at(5.9), at(6)}
	for window, want := range map[time.Duration]int{time.Second: 2, 2 * time.Second: 3, time.Minute: 6} {
		if got := issuer.Busiest(events, window); got != want {
			t.Errorf("%d in %s, want %d", got, window, want)
		}
	}
}
