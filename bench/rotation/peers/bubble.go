package peers

import (
	"net/http"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"prunella/bench/rotation/issuer"
)

// bubble runs work in virtual time. Work comes over a channel that was made
// outside, which testing/synctest does not count as a wait: so time stands
// still between two pieces of work, and passes in one exactly as long as it
// and everything it started sleep.
type bubble struct{ work chan func() }

// inBubble calls f with the bubble, outside of it, and leaves the process when
// f returns.
//
// testing/synctest wants a *testing.T. testing.Main is kept for programs that
// are not go test and need one.
func inBubble(f func(*bubble)) {
	b := &bubble{work: make(chan func())}
	go func() {
		f(b)
		os.Exit(0)
	}()
	os.Args = os.Args[:1] // testing.Main reads flags
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "bubble", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			for f := range b.work {
				f()
			}
		})
	}}}, nil, nil)
}

// do runs f inside and waits for it to return.
func (b *bubble) do(f func()) {
	done := make(chan struct{})
	b.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// door is a transport, for use inside a bubble, that makes requests outside of
// it, where sockets and their goroutines do not hold its time up. For whoever
// waits inside, a request takes no time. The server is told what the clock
// inside shows.
type door struct {
	requests chan *passage
	free     chan *passage
}

// passage carries one request through. Its channels are made outside.
type passage struct {
	req   *http.Request
	reply chan reply
}

type reply struct {
	resp *http.Response
	err  error
}

const passages = 64 // requests at a time

// newDoor is called outside of the bubble. Its goroutines end with the process.
func newDoor(transport http.RoundTripper) *door {
	d := &door{requests: make(chan *passage), free: make(chan *passage, passages)}
	for range passages {
		d.free <- &passage{reply: make(chan reply, 1)}
		go func() {
			for p := range d.requests {
				resp, err := transport.RoundTrip(p.req)
				p.reply <- reply{resp, err}
			}
		}()
	}
	return d
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	// A new request, because the channels of this one, which are the bubble's,
	// must not be waited for outside.
	req, err := http.NewRequest(r.Method, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	p := <-d.free
	p.req = req
	p.req.Header.Set(issuer.ClockHeader, strconv.FormatInt(time.Now().UnixNano(), 10))
	d.requests <- p
	got := <-p.reply
	d.free <- p
	if got.err != nil {
		return nil, got.err
	}
	got.resp.Request = r
	if got.resp.Header.Get(issuer.HangHeader) != "" { // the server would never have answered
		_ = got.resp.Body.Close()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return got.resp, nil
}
