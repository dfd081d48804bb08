package keyset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

// desk answers acknowledgements at /ack and keeps the last one.
type desk struct {
	mu     sync.Mutex
	told   keyset.Acknowledgement
	answer string
}

func (d *desk) serve(t *testing.T, iss *issuer) func(*keyset.Config) {
	iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/ack" {
			return false
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.told = keyset.Acknowledgement{}
		if err := json.NewDecoder(r.Body).Decode(&d.told); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, d.answer)
		return true
	}
	return func(c *keyset.Config) {
		c.Acknowledge = &keyset.Acknowledge{URL: issuerURL + "/ack", Secret: secret, Instance: "i"}
	}
}

func (d *desk) refused(kid string) (count int64, kids int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.told.Refused {
		if r.Kid == kid {
			count += r.Count
		}
	}
	return count, len(d.told.Refused)
}

// An issuer learns which kid this cache wants, in a flood of junk too, and that
// costs a bounded message.
func TestRefusedKidsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		d := &desk{}
		set := iss.start(t, d.serve(t, iss))
		time.Sleep(time.Second)
		if _, kids := d.refused("b"); kids != 0 {
			t.Errorf("told %+v of nothing", d.told.Refused)
		}
		refuses(t, set, b.fresh(), keyset.UnknownKey)
		time.Sleep(30 * time.Second)
		if n, kids := d.refused("b"); n != 1 || kids != 1 {
			t.Errorf("told %+v of one refusal", d.told.Refused)
		}
		for n := range 3000 {
			refuses(t, set, forge(fmt.Sprint("junk", n)), keyset.UnknownKey)
			if n%100 == 0 {
				refuses(t, set, b.fresh(), keyset.UnknownKey)
			}
		}
		refuses(t, set, edSigner(t, "a").fresh(), keyset.Signature) // its kid is here
		refuses(t, set, a.token(with("exp", 1)), keyset.Expired)    // so is this one's
		refuses(t, set, forge(strings.Repeat("k", 300)), keyset.Malformed)
		time.Sleep(30 * time.Second)
		if n, kids := d.refused("b"); n != 31 || kids > 16 || d.told.Refused[0].Kid != "b" {
			t.Errorf("told %d of 31, among %d kids", n, kids)
		}
		if n, _ := d.refused("a"); n != 0 {
			t.Errorf("a kid of the set is told %d times", n)
		}
		iss.publish(a, b)
		time.Sleep(15 * time.Minute)
		accepts(t, set, b.fresh())
	})
}

// An issuer that sees an old set in an acknowledgement says so, which is a hint:
// no token and no webhook is needed, and it is no way to make fetches.
func TestAnAnswerMayAskForAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		iss.control = "max-age=86400"
		d := &desk{answer: `{"refresh":"` + issuerURL + `"}`}
		set := iss.start(t, d.serve(t, iss))
		time.Sleep(time.Minute)
		iss.publish(a, b)
		time.Sleep(21 * time.Second) // a third of a lease
		if len(set.Keys()) != 2 {
			t.Errorf("the set is %+v", set.Keys())
		}
		before := time.Now()
		time.Sleep(10 * time.Minute)
		if n := iss.count(before); n > 31 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		d.mu.Lock()
		d.answer = `{"refresh":"https://another.example"}`
		d.mu.Unlock()
		time.Sleep(time.Minute)
		before = time.Now()
		time.Sleep(5 * time.Minute)
		if n := iss.count(before); n > 1 {
			t.Errorf("%d fetches for another issuer's change", n)
		}
	})
}
