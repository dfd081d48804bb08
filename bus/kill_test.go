package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"prunella/bus"
)

// childMain is what the test binary does when a test started it to be killed:
// it publishes without end and says each batch that was accepted.
func childMain() bool {
	dir := os.Getenv("PRUNELLA_BUS_CHILD")
	if dir == "" {
		return false
	}
	ctx := context.Background()
	b, err := bus.Open(ctx, bus.Config{Dir: dir})
	if err != nil {
		fmt.Println("open:", err)
		return true
	}
	for i := 0; ; i++ {
		if err := b.Publish(ctx, batch(fmt.Sprintf("k%d", i), 20)); err != nil {
			fmt.Println("publish:", err)
			return true
		}
		fmt.Println(i)
	}
}

func TestAcceptedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]bool{}
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "PRUNELLA_BUS_CHILD="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		accepted := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &accepted); err != nil {
				t.Fatalf("child says %q", lines.Text())
			}
			if accepted == 40+7*round {
				cmd.Process.Kill() // SIGKILL; what was still in the pipe counts too
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}

		clear(seen)
		b := open(t, bus.Config{Dir: dir})
		c := consumer(t, b)
		var last uint64
		for len(seen) <= accepted {
			m, err := c.Fetch(t.Context(), 100, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if len(m) == 0 {
				t.Fatalf("round %d: %d batches found, 0 to %d were accepted", round, len(seen), accepted)
			}
			for _, m := range m {
				if len(m.Signals) != 20 {
					t.Fatalf("batch %d holds %d signals", m.Seq, len(m.Signals))
				}
				if want := fmt.Sprintf("k%d-0", len(seen)); string(m.Signals[0].ID) != want {
					t.Fatalf("round %d: found %s where %s belongs", round, m.Signals[0].ID, want)
				}
				seen[string(m.Signals[0].ID)] = true
				last = m.Seq
			}
		}
		if err := c.AckThrough(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		// One more may have been stored whose answer the kill cut off.
		if m, err := c.Fetch(t.Context(), 10, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		} else if len(m) > 0 {
			if err := c.AckThrough(t.Context(), m[len(m)-1].Seq); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
